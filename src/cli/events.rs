//! `events`: past and new events.

use std::io::Write;
use std::process::ExitCode;

use super::output::{NO_TIMEOUT, REQUEST_TIMEOUT, stdout};
use crate::adapters::agent_client::AgentClient;
use crate::adapters::paths::Paths;
use crate::wire::api::EventDocument;

/// `registry-agent events`
pub fn events(follow: bool, json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let (target, timeout) = if follow {
        ("/v1/events?follow=true", NO_TIMEOUT)
    } else {
        ("/v1/events", REQUEST_TIMEOUT)
    };
    let mut answer = AgentClient::connect_to_any(&paths, timeout)?.send("GET", target, b"")?;
    while let Some(line) = answer.line()? {
        if json {
            write!(stdout(), "{line}")?;
        } else {
            let event: EventDocument = serde_json::from_str(&line)?;
            writeln!(stdout(), "{:.3}  {}", event.at, event.detail)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
