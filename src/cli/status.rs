//! `status`: all logins and problems.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::output::{self, HOW_TO_DECLARE, NO_TIMEOUT, ask_status, stdout};
use super::status_report::{exit_code, headline, print_registries, severity_word};
use crate::adapters::agent_client::{AgentClient, ClientError};
use crate::adapters::clock;
use crate::adapters::paths::Paths;
use crate::wire::api::StatusDocument;

/// The pause before connecting to a restarted agent.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Exit status when no agent responds.
const NO_AGENT: u8 = 4;

/// `registry-agent status`
pub fn status(json: bool, watch: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    loop {
        let status = match follow(&paths, json, watch) {
            // The agent is being replaced, or another one is about to start.
            Ok(None) => {
                clock::pause(RECONNECT_PAUSE);
                continue;
            }
            Ok(Some(status)) => status,
            Err(error) => match error.downcast_ref() {
                Some(ClientError::NoAgent | ClientError::Broken(_)) => {
                    output::print_note(&format!("{error}; start one with `registry-agent sync`"));
                    return Ok(ExitCode::from(NO_AGENT));
                }
                _ => return Err(error),
            },
        };
        return Ok(ExitCode::from(exit_code(&status)));
    }
}

/// Prints the status; with `watch`, again after each change. `None` when the agent goes away meanwhile.
fn follow(paths: &Paths, json: bool, watch: bool) -> anyhow::Result<Option<StatusDocument>> {
    // Opened before the status is read, so that no change in between is missed.
    let mut feed = if watch {
        let client = AgentClient::connect_to_any(paths, NO_TIMEOUT)?;
        Some(client.send("GET", "/v1/events?follow=true", b"")?)
    } else {
        None
    };
    loop {
        let asked_at = Instant::now();
        let status = ask_status(paths)?;
        if json {
            writeln!(stdout(), "{}", serde_json::to_string_pretty(&status)?)?;
        } else {
            print(&status)?;
        }
        let Some(feed) = &mut feed else { return Ok(Some(status)) };
        if !output::wait_for_news(feed, &status, asked_at)? {
            return Ok(None);
        }
        writeln!(stdout())?;
    }
}

fn print(status: &StatusDocument) -> anyhow::Result<()> {
    if status.registries.is_empty() {
        writeln!(stdout(), "no registry is declared; {HOW_TO_DECLARE}")?;
    } else {
        print_registries(&status.registries, false)?;
    }
    let mut out = stdout();
    for problem in &status.problems {
        writeln!(out, "\n{}: {}", severity_word(problem), headline(problem))?;
        writeln!(out, "  fix: {}", problem.hint)?;
    }
    Ok(())
}
