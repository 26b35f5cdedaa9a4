//! `events`: what happened.

use std::io::Write;
use std::process::ExitCode;

use super::output::{FOREVER, PATIENCE, stdout};
use crate::edge::client::Client;
use crate::edge::paths::Paths;
use crate::wire::api::EventDocument;

/// `registry-agent events`
pub fn events(follow: bool, json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let (target, patience) =
        if follow { ("/v1/events?follow=true", FOREVER) } else { ("/v1/events", PATIENCE) };
    let mut answer = Client::connect_to_any(&paths, patience)?.send("GET", target, b"")?;
    while let Some(line) = answer.line()? {
        if json {
            write!(stdout(), "{line}")?;
        } else {
            let event: EventDocument = serde_json::from_str(&line)?;
            let EventDocument { at, event, subject, detail } = event;
            writeln!(stdout(), "{at:.3}  {event:<16} {subject}  {detail}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
