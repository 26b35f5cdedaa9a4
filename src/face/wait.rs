//! `wait` and `refresh`: until logins are settled.

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::output::{ask_status, complain, is_called, is_news};
use super::status::{label, verdict};
use crate::edge::client::{self, Client, ClientError};
use crate::edge::clock;
use crate::edge::paths::Paths;
use crate::wire::api::{RegistryDocument, StatusDocument};

/// The pause before an agent that is not there is looked for again.
const RECONNECT: Duration = Duration::from_millis(100);

/// `registry-agent wait`
pub fn wait(names: &[String], timeout: Duration) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let deadline = Instant::now() + timeout;
    let mut told = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match look(&paths, names, left, &mut told) {
            Ok(Some(code)) => return Ok(code),
            Ok(None) => {}
            // Whatever starts the agent may come a moment later, and one that is replaced is back soon.
            Err(ClientError::NoAgent | ClientError::Broken(_)) if !left.is_zero() => {
                clock::pause(RECONNECT.min(left));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Looks how things are, and when they are not settled waits until something changes.
fn look(
    paths: &Paths,
    names: &[String],
    left: Duration,
    told: &mut Vec<(String, String)>,
) -> Result<Option<ExitCode>, ClientError> {
    // The feed is opened before the status is read, so that no change in between is missed.
    let mut feed = Client::connect_to_any(paths, left.max(Duration::from_millis(1)))?.send(
        "GET",
        "/v1/events?follow=true",
        b"",
    )?;
    let status = ask_status(paths)?;
    tell(&status, names, told);
    let missing = missing(&status, names);
    if missing.is_empty() && settled(&status, names) {
        return Ok(Some(ExitCode::from(u8::from(verdict(&only(status, names)) != 0))));
    }
    if left.is_zero() {
        complain(&unsettled(&status, names, &missing));
        return Ok(Some(ExitCode::FAILURE));
    }
    loop {
        match feed.line() {
            Ok(Some(line)) if is_news(&line, &status) => return Ok(None),
            Ok(Some(_)) => {}
            // The agent was replaced and its successor is asked, or time is up.
            Ok(None) | Err(ClientError::Broken(_) | ClientError::TimedOut) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn settled(status: &StatusDocument, names: &[String]) -> bool {
    if names.is_empty() {
        return status.settled;
    }
    meant(status, names).all(|registry| registry.state != "pending")
}

fn missing<'a>(status: &StatusDocument, names: &'a [String]) -> Vec<&'a str> {
    let there = |name: &&String| status.registries.iter().any(|r| is_called(r, name));
    names.iter().filter(|name| !there(name)).map(String::as_str).collect()
}

fn meant<'a>(
    status: &'a StatusDocument,
    names: &'a [String],
) -> impl Iterator<Item = &'a RegistryDocument> {
    status
        .registries
        .iter()
        .filter(|registry| names.is_empty() || names.iter().any(|name| is_called(registry, name)))
}

fn only(mut status: StatusDocument, names: &[String]) -> StatusDocument {
    if !names.is_empty() {
        status.registries.retain(|registry| names.iter().any(|name| is_called(registry, name)));
        status.problems.retain(|problem| names.contains(&problem.name));
    }
    status
}

/// On a terminal, says each state once as it comes up.
fn tell(status: &StatusDocument, names: &[String], told: &mut Vec<(String, String)>) {
    if !stderr().is_terminal() {
        return;
    }
    for registry in meant(status, names) {
        let line = (label(registry).to_owned(), registry.state.clone());
        if !told.contains(&line) {
            complain(&format!("{}: {}", line.0, line.1));
            told.push(line);
        }
    }
}

fn unsettled(status: &StatusDocument, names: &[String], missing: &[&str]) -> String {
    let pending: Vec<&str> =
        meant(status, names).filter(|r| r.state == "pending").map(label).collect();
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("not declared, or not completely: {}", missing.join(", ")));
    }
    if !pending.is_empty() {
        parts.push(format!("still pending: {}", pending.join(", ")));
    }
    format!("time is up; {}", parts.join("; "))
}

/// `registry-agent refresh`
pub fn refresh(names: &[String], json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let targets: Vec<String> = if names.is_empty() {
        vec!["/v1/refresh".to_owned()]
    } else {
        let encoded = names.iter().map(|name| utf8_percent_encode(name, NON_ALPHANUMERIC));
        encoded.map(|name| format!("/v1/refresh?registry={name}")).collect()
    };
    let mut refreshed: Vec<RegistryDocument> = Vec::new();
    for target in targets {
        let answer = client::ask(&paths, "POST", &target, b"", Duration::from_secs(65))?;
        refreshed.extend(serde_json::from_slice::<Vec<RegistryDocument>>(&answer)?);
    }
    super::status::print_registries(&refreshed, json)?;
    let well = |r: &RegistryDocument| matches!(r.state.as_str(), "ready" | "unverified");
    Ok(if refreshed.iter().all(well) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
