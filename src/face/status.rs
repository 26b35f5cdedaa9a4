//! `status`: every login and every problem.

use std::io::Write;
use std::process::ExitCode;

use jiff::Timestamp;

use super::output::{self, FOREVER, ask_status, colours, stdout};
use crate::edge::client::{Client, ClientError};
use crate::edge::clock::Clock;
use crate::edge::paths::Paths;
use crate::wire::api::{RegistryDocument, StatusDocument};

/// No agent answers.
const NO_AGENT: u8 = 4;
/// Something is not as it should be.
const NOT_WELL: u8 = 3;

/// `registry-agent status`
pub fn status(json: bool, watch: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    loop {
        // The feed is opened first, so that no change after the status is missed.
        let mut feed = match Client::connect_to_any(&paths, FOREVER) {
            Ok(client) if watch => Some(client.send("GET", "/v1/events?follow=true", b"")?),
            _ => None,
        };
        let status = match ask_status(&paths) {
            Err(error @ (ClientError::NoAgent | ClientError::Broken(_))) => {
                output::complain(&format!("{error}; start it with: registry-agent start"));
                return Ok(ExitCode::from(NO_AGENT));
            }
            other => other?,
        };
        if json {
            writeln!(stdout(), "{}", serde_json::to_string_pretty(&status)?)?;
        } else {
            print(&status)?;
        }
        let Some(feed) = &mut feed else { return Ok(ExitCode::from(verdict(&status))) };
        // The first lines are the past.
        let mut line = feed.line()?;
        while line.as_ref().is_some_and(|line| !output::is_news(line, &status)) {
            line = feed.line()?;
        }
        if line.is_none() {
            return Ok(ExitCode::from(NO_AGENT));
        }
        writeln!(stdout())?;
    }
}

/// The exit status that goes with a status document.
pub fn verdict(status: &StatusDocument) -> u8 {
    let logins_well = status
        .registries
        .iter()
        .all(|registry| matches!(registry.state.as_str(), "ready" | "unverified"));
    let complete = !status
        .problems
        .iter()
        .any(|problem| matches!(problem.code.as_str(), "variable-missing" | "server-empty"));
    if logins_well && complete { 0 } else { NOT_WELL }
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
