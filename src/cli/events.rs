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
use crate::wire::api::EventDocument;

/// On a terminal, further lines of a sentence begin below its first one, after the instant.
const INDENT: usize = 26;
/// How many events are remembered as printed: more than an agent keeps.
const SEEN: usize = 1000;
/// The pause before connecting to a restarted agent.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// `registry-agent events`
pub fn events(follow: bool, json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let mut seen = BTreeMap::new();
    if !follow {
        let client = AgentClient::connect_to_any(&paths, REQUEST_TIMEOUT)?;
        print_new(client.send("GET", "/v1/events", b"")?, json, &mut seen)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut client = AgentClient::connect_to_any(&paths, NO_TIMEOUT)?;
    loop {
        match client.send("GET", "/v1/events?follow=true", b"") {
            Ok(feed) => print_new(feed, json, &mut seen)?,
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

/// Prints each event that is not in `seen`, where it is added, until the agent ends the response or
/// dies.
fn print_new(
    mut response: AgentResponse,
    json: bool,
    seen: &mut BTreeMap<u64, Timestamp>,
) -> anyhow::Result<()> {
    loop {
        let line = match response.line() {
            Ok(Some(line)) if line.ends_with('\n') => line,
            Ok(_) | Err(ClientError::Broken(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let event: EventDocument = serde_json::from_str(&line)?;
        // The next agent has the events of the one before. One without them counts from 1 again.
        if seen.insert(event.seq, event.at) == Some(event.at) {
            continue;
        }
        if seen.len() > SEEN {
            seen.pop_first();
        }
        if json {
            write!(stdout(), "{line}")?;
        } else {
            let line = format!("{:.3}  {}", event.at, for_people(&event.detail));
            writeln!(stdout(), "{}", wrapped(&line, INDENT, terminal::width()))?;
        }
    }
}
