//! `wait`: blocks until no login is pending.

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::output::{REQUEST_TIMEOUT, ask_status, is_called, print_note, wait_for_news};
use super::status_report::{exit_code, label};
use crate::adapters::agent_client::{AgentClient, ClientError};
use crate::adapters::clock;
use crate::adapters::paths::Paths;
use crate::wire::api::{ProblemEntry, RegistryDocument, StatusDocument};

/// The pause before looking for an agent again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// `registry-agent wait`
pub fn wait(names: &[String], timeout: Duration) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let deadline = Instant::now() + timeout;
    let mut reported = Vec::new();
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        match check(&paths, names, deadline, &mut reported) {
            Ok(Some(code)) => return Ok(code),
            Ok(None) => {}
            // The agent may be about to start, or be restarting.
            Err(ClientError::TimedOut) if !remaining.is_zero() => {}
            Err(ClientError::NoAgent | ClientError::Broken(_)) if !remaining.is_zero() => {
                clock::pause(RECONNECT_PAUSE.min(remaining));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The exit status once settled; `None` if the agent goes away.
fn check(
    paths: &Paths,
    names: &[String],
    deadline: Instant,
    reported: &mut Vec<(String, String)>,
) -> Result<Option<ExitCode>, ClientError> {
    let remaining = || deadline.saturating_duration_since(Instant::now());
    // Opened before the status is read, so that no change in between is missed.
    let timeout = if remaining().is_zero() { REQUEST_TIMEOUT } else { remaining() };
    let mut feed =
        AgentClient::connect_to_any(paths, timeout)?.send("GET", "/v1/events?follow=true", b"")?;
    loop {
        let asked_at = Instant::now();
        let status = ask_status(paths)?;
        report_progress(&status, names, reported);
        let missing = missing(&status, names);
        if missing.is_empty() && settled(&status, names) {
            return Ok(Some(ExitCode::from(u8::from(exit_code(&filtered(status, names)) != 0))));
        }
        if remaining().is_zero() {
            print_note(&timeout_message(&status, names, &missing));
            return Ok(Some(ExitCode::FAILURE));
        }
        if !wait_for_news(&mut feed, &status, asked_at)? {
            return Ok(None);
        }
    }
}

fn settled(status: &StatusDocument, names: &[String]) -> bool {
    if names.is_empty() {
        return status.settled;
    }
    selected(status, names).all(|registry| registry.state != "pending")
}

fn missing<'a>(status: &StatusDocument, names: &'a [String]) -> Vec<&'a str> {
    let there = |name: &&String| status.registries.iter().any(|r| is_called(r, name));
    names.iter().filter(|name| !there(name)).map(String::as_str).collect()
}

fn selected<'a>(
    status: &'a StatusDocument,
    names: &'a [String],
) -> impl Iterator<Item = &'a RegistryDocument> {
    status
        .registries
        .iter()
        .filter(|registry| names.is_empty() || names.iter().any(|name| is_called(registry, name)))
}

fn filtered(mut status: StatusDocument, names: &[String]) -> StatusDocument {
    if !names.is_empty() {
        status.registries.retain(|registry| names.iter().any(|name| is_called(registry, name)));
        let kept = std::mem::take(&mut status.problems).into_iter();
        status.problems = kept.filter(|problem| concerns(problem, &status, names)).collect();
    }
    status
}

/// Whether a problem is about one of these logins: by name, by registry, or about all of them.
fn concerns(problem: &ProblemEntry, status: &StatusDocument, names: &[String]) -> bool {
    let is_selected = |key: &str| status.registries.iter().any(|it| is_called(it, key));
    match (&problem.registry, problem.kind.as_str()) {
        (Some(registry), _) => is_selected(registry),
        (None, "variables" | "login") => {
            names.contains(&problem.name) || is_selected(&problem.name)
        }
        (None, _) => true,
    }
}

/// On a terminal, prints each state of a login once.
fn report_progress(
    status: &StatusDocument,
    names: &[String],
    reported: &mut Vec<(String, String)>,
) {
    if !stderr().is_terminal() {
        return;
    }
    for registry in selected(status, names) {
        let line = (label(registry).to_owned(), registry.state.clone());
        if !reported.contains(&line) {
            print_note(&format!("{}: {}", line.0, line.1));
            reported.push(line);
        }
    }
}

fn timeout_message(status: &StatusDocument, names: &[String], missing: &[&str]) -> String {
    let pending: Vec<&str> =
        selected(status, names).filter(|r| r.state == "pending").map(label).collect();
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("not declared, or incomplete: {}", missing.join(", ")));
    }
    if !pending.is_empty() {
        parts.push(format!("still pending: {}", pending.join(", ")));
    }
    format!("timed out; {}", parts.join("; "))
}
