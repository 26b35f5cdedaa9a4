//! `wait`: blocks until no login is pending.

use std::io::{Write, stderr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::output::{is_called, print_note, stdout};
use super::progress::Progress;
use super::reason_text::ReasonText;
use super::settling::{Awaited, settle};
use super::status_report::{exit_code, is_well, keeps_clients_away, label};
use super::terminal;
use crate::adapters::agent_client::ClientError;
use crate::adapters::paths::Paths;
use crate::wire::api::{ProblemEntry, StatusDocument};

/// `registry-agent wait`
pub fn wait(names: &[String], timeout: Duration, json: bool) -> anyhow::Result<ExitCode> {
    let awaited = Awaited { names, deadline: Instant::now() + timeout };
    let mut progress = Progress::default();
    let status = match settle(&Paths::of_this_process(), &awaited, &mut progress) {
        Err(ClientError::NoAgent) => {
            anyhow::bail!("no agent is running; start one with `registry-agent sync`")
        }
        other => other?,
    };
    let is_settled = awaited.is_settled(&status);
    let shown = filtered(status, names);
    if json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&shown)?)?;
    }
    explain(&shown, &mut progress);
    if !is_settled {
        print_note(&timeout_message(&shown, &awaited));
    }
    let well = is_settled && exit_code(&shown) == 0;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Names what is wrong, with its reason and fix; on a terminal also what is well.
fn explain(status: &StatusDocument, progress: &mut Progress) {
    let on_terminal = std::io::IsTerminal::is_terminal(&stderr());
    for registry in &status.registries {
        let settled = registry.state != "pending";
        if settled && (on_terminal || !is_well(registry)) {
            progress.report(registry);
        }
    }
    for problem in status.problems.iter().filter(|problem| keeps_clients_away(problem)) {
        let text = ReasonText::of_problem(problem).text(terminal::width_of_stderr());
        let _ = anstream::stderr().write_all(text.as_bytes());
    }
}

/// The part of the status that is about these names.
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

fn timeout_message(status: &StatusDocument, awaited: &Awaited<'_>) -> String {
    let missing = awaited.missing(status);
    let pending: Vec<&str> =
        status.registries.iter().filter(|it| it.state == "pending").map(label).collect();
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("not declared, or incomplete: {}", missing.join(", ")));
    }
    if !pending.is_empty() {
        parts.push(format!("still pending: {}", pending.join(", ")));
    }
    format!("timed out; {}", parts.join("; "))
}
