//! `status`: every login and every problem.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use super::output::{self, FOREVER, ask_status, colours, stdout};
use crate::domain::discovery::AMBIENT_NAME;
use crate::edge::client::{Client, ClientError};
use crate::edge::clock::{self, Clock};
use crate::edge::paths::Paths;
use crate::wire::api::{ProblemEntry, RegistryDocument, StatusDocument};

/// The pause before an agent that went away is asked again.
const RECONNECT: Duration = Duration::from_millis(200);
/// No agent answers.
const NO_AGENT: u8 = 4;
/// Something is not as it should be.
const NOT_WELL: u8 = 3;

/// `registry-agent status`
pub fn status(json: bool, watch: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    loop {
        let status = match follow(&paths, json, watch) {
            // The agent is being replaced, or another one is about to start.
            Ok(None) => {
                clock::pause(RECONNECT);
                continue;
            }
            Ok(Some(status)) => status,
            Err(error) => match error.downcast_ref() {
                Some(ClientError::NoAgent | ClientError::Broken(_)) => {
                    output::complain(&format!("{error}; start it with: registry-agent start"));
                    return Ok(ExitCode::from(NO_AGENT));
                }
                _ => return Err(error),
            },
        };
        return Ok(ExitCode::from(verdict(&status)));
    }
}

/// Prints the status, and with `watch` again at each change until the agent goes away: then there is
/// no last word.
fn follow(paths: &Paths, json: bool, watch: bool) -> anyhow::Result<Option<StatusDocument>> {
    // The feed is opened before the status is read, so that no change in between is missed.
    let mut feed = if watch {
        let client = Client::connect_to_any(paths, FOREVER)?;
        Some(client.send("GET", "/v1/events?follow=true", b"")?)
    } else {
        None
    };
    loop {
        let status = ask_status(paths)?;
        if json {
            writeln!(stdout(), "{}", serde_json::to_string_pretty(&status)?)?;
        } else {
            print(&status)?;
        }
        let Some(feed) = &mut feed else { return Ok(Some(status)) };
        loop {
            match feed.line() {
                Ok(Some(line)) if output::is_news(&line, &status) => break,
                // The first lines are the past.
                Ok(Some(_)) => {}
                Ok(None) | Err(ClientError::Broken(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        writeln!(stdout())?;
    }
}

/// The exit status that goes with a status document. The login that `GITHUB_TOKEN` makes by itself does
/// not count: nobody asked for it.
pub fn verdict(status: &StatusDocument) -> u8 {
    let well = status
        .registries
        .iter()
        .filter(|registry| registry.name.as_deref() != Some(AMBIENT_NAME))
        .all(|registry| matches!(registry.state.as_str(), "ready" | "unverified"));
    let complete = !status.problems.iter().any(|problem| keeps_a_login_away(problem, status));
    if well && complete { 0 } else { NOT_WELL }
}

/// Whether a problem is why a declared set is no login.
pub fn keeps_a_login_away(problem: &ProblemEntry, status: &StatusDocument) -> bool {
    let is_file = problem.name.contains('/');
    let is_login =
        status.registries.iter().any(|r| r.name.as_deref() == Some(problem.name.as_str()));
    // The other declaration of the same server serves.
    !is_file && !is_login && problem.code != "server-declared-twice"
}

fn print(status: &StatusDocument) -> anyhow::Result<()> {
    if status.registries.is_empty() {
        writeln!(
            stdout(),
            "no registry is declared: set NAME_CONTAINER_REGISTRY_SERVER, _USER and _PASSWORD, \
             then run registry-agent sync"
        )?;
    } else {
        print_registries(&status.registries, false)?;
    }
    let mut out = stdout();
    for problem in &status.problems {
        let source = problem.source.as_ref().map_or_else(String::new, |s| format!(" (in {s})"));
        writeln!(out, "\nproblem: {}{source}: {}", problem.name, problem.problem)?;
        writeln!(out, "  fix: {}", problem.hint)?;
    }
    Ok(())
}

/// Prints logins, each with its reason and the fix.
pub fn print_registries(registries: &[RegistryDocument], json: bool) -> anyhow::Result<()> {
    let mut out = stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(registries)?)?;
        return Ok(());
    }
    table(&mut out, &registries.iter().map(row).collect::<Vec<_>>())?;
    for registry in registries {
        if let Some(reason) = &registry.reason {
            writeln!(out, "\n{}: {reason}", label(registry))?;
            if let Some(hint) = &registry.hint {
                writeln!(out, "  fix: {hint}")?;
            }
        }
    }
    Ok(())
}

/// How a login is called where one word has to do.
pub fn label(registry: &RegistryDocument) -> &str {
    registry.name.as_deref().unwrap_or(&registry.server)
}

const HEAD: [&str; 8] =
    ["NAME", "REGISTRY", "KIND", "USER", "STATE", "EXPIRES", "REFRESH", "DECLARED IN"];
const STATE: usize = 4;

fn row(registry: &RegistryDocument) -> [String; 8] {
    [
        registry.name.clone().unwrap_or_else(|| "-".to_owned()),
        registry.server.clone(),
        registry.kind.clone(),
        registry.user.clone().unwrap_or_else(|| "-".to_owned()),
        registry.state.clone(),
        relative(registry.expires_at),
        relative(registry.next_refresh_at),
        registry.source.clone(),
    ]
}

fn table(out: &mut impl Write, rows: &[[String; 8]]) -> anyhow::Result<()> {
    let widths: [usize; 8] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEAD[column].len()]).max().unwrap_or_default()
    });
    let line = |cells: [&str; 8]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let padded = format!("{cell:<width$}");
                if column == STATE { paint(cell, padded) } else { padded }
            })
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    writeln!(out, "{}", line(HEAD))?;
    for row in rows {
        writeln!(out, "{}", line(std::array::from_fn(|column| row[column].as_str())))?;
    }
    Ok(())
}

fn paint(state: &str, padded: String) -> String {
    let colour = match state {
        "ready" | "unverified" => "32",
        "pending" | "unreachable" | "rate-limited" => "33",
        "rejected" | "expired" | "invalid" => "31",
        _ => return padded,
    };
    if colours() { format!("\x1b[{colour}m{padded}\x1b[0m") } else { padded }
}

/// How far away an instant is, as a person would say it.
fn relative(at: Option<Timestamp>) -> String {
    let Some(at) = at else { return "-".to_owned() };
    let left = at.duration_since(Clock::system().now());
    let text = |unit: i64, seconds: i64, name: &str| format!("{}{name}", seconds / unit);
    let seconds = left.abs().as_secs();
    let amount = match seconds {
        0..120 => text(1, seconds, "s"),
        120..7200 => text(60, seconds, "m"),
        7200..172_800 => text(3600, seconds, "h"),
        _ => text(86_400, seconds, "d"),
    };
    if left.is_negative() { format!("{amount} ago") } else { format!("in {amount}") }
}
