//! `wait`: blocks until no login is pending.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::absence::of_another_user;
use super::login_lines::login_line;
use super::output::{print_note, stdout};
use super::progress::Progress;
use super::selection::{self, NoLogin};
use super::settling::{Awaited, settle, still_pending};
use super::status_report::{
    exit_code, is_well, keeps_clients_away, nothing_declared, proxies_first, remarks,
};
use super::sync::{print_problems, print_reasons};
use super::terminal;
use crate::adapters::paths::Paths;
use crate::wire::api::{ProblemEntry, StatusDocument};

/// `registry-agent wait`
pub fn wait(names: &[String], timeout: Duration, json: bool) -> anyhow::Result<ExitCode> {
    let awaited = Awaited { names, deadline: Instant::now() + timeout };
    let mut progress = if json { Progress::line_only() } else { Progress::with_states() };
    let paths = Paths::of_this_process();
    let status = settle(&paths, &awaited, &mut progress)?;
    let is_settled = awaited.is_settled(&status);
    if names.is_empty() && status.registries.is_empty() {
        print_note(&nothing_declared(&status.problems));
    }
    let timeout_note = (!is_settled).then(|| timeout_message(&status, &awaited));
    let shown = filtered(status, names);
    let settled = shown.registries.iter().filter(|registry| registry.state != "pending");
    let errors = shown.problems.iter().filter(|problem| keeps_clients_away(problem));
    let (proxies, problems) = proxies_first(errors);
    print_problems(proxies)?;
    if json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&shown)?)?;
        for registry in settled.filter(|registry| !is_well(registry)) {
            let text = login_line(registry, terminal::width_of_stderr());
            anstream::stderr().write_all(text.as_bytes())?;
        }
    } else {
        for registry in settled {
            progress.print_state(registry)?;
        }
    }
    print_problems(problems)?;
    print_reasons(&remarks(&shown.registries, &shown.problems))?;
    if let Some(note) = timeout_note {
        print_note(&note);
    }
    let absence = of_another_user(&paths);
    if let Some(absence) = &absence {
        print_note(&absence.to_string());
    }
    // The automatic login of `GITHUB_TOKEN` counts for those who name it.
    let named_are_well = names.is_empty() || shown.registries.iter().all(is_well);
    let well = is_settled && named_are_well && exit_code(&shown) == 0 && absence.is_none();
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The part of the status that is about these names.
fn filtered(mut status: StatusDocument, names: &[String]) -> StatusDocument {
    if !names.is_empty() {
        let found = names.iter().flat_map(|name| selection::find(&status.registries, name));
        let servers: BTreeSet<String> = found.map(|registry| registry.server.clone()).collect();
        status.registries.retain(|registry| servers.contains(&registry.server));
        let kept = std::mem::take(&mut status.problems).into_iter();
        status.problems = kept.filter(|problem| concerns(problem, &status, names)).collect();
    }
    status
}

/// Whether a problem is about one of these logins: by name, by registry, or about all of them.
fn concerns(problem: &ProblemEntry, status: &StatusDocument, names: &[String]) -> bool {
    let is_selected = |key: &str| !selection::find(&status.registries, key).is_empty();
    match (&problem.registry, problem.kind.as_str()) {
        (Some(registry), _) => is_selected(registry),
        (None, "variables" | "login") => {
            let is_named = names.iter().any(|name| name.eq_ignore_ascii_case(&problem.name));
            is_named || is_selected(&problem.name)
        }
        (None, _) => true,
    }
}

fn timeout_message(status: &StatusDocument, awaited: &Awaited<'_>) -> String {
    let missing = awaited.missing(status);
    let mut parts = Vec::new();
    parts.extend(missing.into_iter().map(|asked| NoLogin::of(status, asked).to_string()));
    parts.extend(still_pending(awaited.selected(status)));
    format!("timed out; {}", parts.join("; "))
}
