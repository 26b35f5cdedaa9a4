//! `events`: past and new events.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use super::line_wrap::wrapped;
use super::output::{NO_TIMEOUT, REQUEST_TIMEOUT, for_people, stdout};
use super::terminal;
use crate::adapters::agent_client::{AgentClient, AgentResponse, ClientError};
use crate::adapters::clock;
use crate::adapters::paths::Paths;
use crate::wire::api::{EventDocument, parse_printable};

/// On a terminal, further lines of a sentence begin below its first one, after the instant.
const INDENT: usize = 26;
/// How many printed events are remembered: more than an agent keeps.
const REMEMBERED: usize = 1000;
/// The pause before connecting to a restarted agent.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// `registry-agent events`
pub fn events(follow: bool, json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let mut printed = PrintedEvents::default();
    if !follow {
        let client = AgentClient::connect_to_any(&paths, REQUEST_TIMEOUT)?;
        print_new(client.send("GET", "/v1/events", b"")?, json, &mut printed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut client = AgentClient::connect_to_any(&paths, NO_TIMEOUT)?;
    loop {
        match client.send("GET", "/v1/events?follow=true", b"") {
            Ok(feed) => print_new(feed, json, &mut printed)?,
            // The agent died before it could respond.
            Err(ClientError::Broken(_)) => {}
            Err(error) => return Err(error.into()),
        }
        clock::pause(RECONNECT_PAUSE);
        client = match AgentClient::connect_to_any(&paths, NO_TIMEOUT) {
            Ok(client) => client,
            Err(ClientError::NoAgent) => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(error.into()),
        };
    }
}

/// Prints each event that is not in `printed`, until the agent ends the response or dies.
fn print_new(
    mut response: AgentResponse,
    json: bool,
    printed: &mut PrintedEvents,
) -> anyhow::Result<()> {
    loop {
        let line = match response.line() {
            Ok(Some(line)) if line.ends_with('\n') => line,
            Ok(_) | Err(ClientError::Broken(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let event: EventDocument = parse_printable(line.as_bytes())?;
        if !printed.add(event.seq, event.at) {
            continue;
        }
        if json {
            writeln!(stdout(), "{}", serde_json::to_string(&event)?)?;
        } else {
            let line = format!("{:.3}  {}", event.at, for_people(&event.detail));
            writeln!(stdout(), "{}", wrapped(&line, INDENT, terminal::width()))?;
        }
    }
}

/// The last printed events, by `seq`: each stream of events starts with past ones.
#[derive(Default)]
struct PrintedEvents(BTreeMap<u64, Timestamp>);

impl PrintedEvents {
    /// Adds an event, and returns whether it is new.
    fn add(&mut self, seq: u64, at: Timestamp) -> bool {
        if self.0.get(&seq) == Some(&at) {
            return false;
        }
        // The next agent has the events of the one before. One without them counts from 1 again.
        self.0.retain(|printed, _| *printed < seq);
        self.0.insert(seq, at);
        if self.0.len() > REMEMBERED {
            self.0.pop_first();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_printed_once_whatever_agents_come_and_go() {
        let mut printed = PrintedEvents::default();
        let mut stream = |at: i64, numbers: std::ops::RangeInclusive<u64>| -> Vec<u64> {
            let at = Timestamp::from_second(at).unwrap();
            numbers.filter(|seq| printed.add(*seq, at)).collect()
        };
        assert_eq!(stream(1, 1..=2000).len(), 2000);
        assert_eq!(stream(1, 1501..=2001), [2001], "the agent died");
        assert_eq!(stream(2, 1..=3), [1, 2, 3], "another agent counts anew");
        assert_eq!(stream(2, 1..=4), [4]);
        assert_eq!(stream(3, 4..=4), [4], "the last event was lost with its agent");
        assert_eq!(stream(2, 1..=3), [0; 0]);
        assert_eq!(stream(3, 4..=5), [5]);
    }
}
