//! `status`: all logins and problems.

use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::absence::{explained, of_another_user, why_none};
use super::change_feed::{Change, ChangeFeed};
use super::live_status;
use super::output::{self, NO_TIMEOUT, ask_status};
use super::shell_sets::{undeclared, undeclared_text};
use super::status_report::{NOT_WELL, exit_code, status_text};
use super::terminal;
use crate::adapters::agent_client::ClientError;
use crate::adapters::clock::{self, Clock};
use crate::adapters::paths::Paths;
use crate::wire::api::StatusDocument;

/// The pause before connecting to a restarted agent.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Exit status when no agent serves this user.
const NO_AGENT: u8 = 4;

/// What `status --json` prints if there is no agent.
#[derive(Serialize)]
struct Absence {
    /// Null; a status has the agent's version and process ID.
    agent: Option<()>,
    code: &'static str,
    reason: String,
    hint: String,
}

/// `registry-agent status`
pub fn status(json: bool, watch: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let done = match (watch, json) {
        (false, _) => ask_status(&paths).map_err(Into::into).and_then(|status| {
            // If the agent knows of nothing, the reason may be in this shell.
            let is_empty = status.registries.is_empty() && status.problems.is_empty();
            let undeclared = if is_empty && !json { undeclared(&status) } else { BTreeMap::new() };
            if undeclared.is_empty() {
                print(&status, json)?;
            } else {
                let text = undeclared_text(&undeclared, terminal::width());
                anstream::stdout().write_all(text.as_bytes())?;
            }
            if let Some(absence) = of_another_user(&paths) {
                output::print_note(&absence.to_string());
                return Ok(ExitCode::from(NO_AGENT));
            }
            let code = if undeclared.is_empty() { exit_code(&status) } else { NOT_WELL };
            Ok(ExitCode::from(code))
        }),
        (true, false) if terminal::can_redraw(&stdout()) => live_status::watch(&paths),
        (true, _) => follow(&paths, json),
    };
    done.or_else(|error: anyhow::Error| match error.downcast_ref() {
        Some(ClientError::NoAgent | ClientError::Broken(_) | ClientError::NotOurs { .. }) => {
            if json && !watch {
                let of_another = of_another_user(&paths).map(|absence| absence.reason);
                let reason = of_another.unwrap_or_else(|| why_none(&paths));
                let absence = Absence {
                    agent: None,
                    code: reason.code(),
                    reason: reason.to_string(),
                    hint: reason.fix(),
                };
                writeln!(stdout(), "{}", serde_json::to_string_pretty(&absence)?)?;
            }
            output::print_note(&explained(&paths, &error));
            Ok(ExitCode::from(NO_AGENT))
        }
        _ => Err(error),
    })
}

/// Prints the status, and again after each change.
fn follow(paths: &Paths, json: bool) -> anyhow::Result<ExitCode> {
    loop {
        let feed = ChangeFeed::default();
        let mut status = feed.follow_status(paths, NO_TIMEOUT)?;
        loop {
            print(&status, json)?;
            let Some(Change::Status(next)) = feed.next_within(NO_TIMEOUT) else { break };
            writeln!(stdout())?;
            status = *next;
        }
        // The agent is being replaced, or another one is about to start.
        clock::pause(RECONNECT_PAUSE);
    }
}

fn print(status: &StatusDocument, json: bool) -> anyhow::Result<()> {
    if json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(status)?)?;
        return Ok(());
    }
    let text = status_text(status, Clock::system().now(), terminal::width());
    // Colours are left out where the terminal, `NO_COLOR` or `TERM=dumb` asks for none.
    anstream::stdout().write_all(text.as_bytes())?;
    Ok(())
}
