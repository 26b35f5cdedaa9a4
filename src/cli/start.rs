//! `start`: ensures that an agent runs in the background.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;

use super::launch::{ensure_running, matching_environment};
use super::login_lines::login_lines;
use super::other_version::replace_other_version;
use super::output::{print_note, stdout};
use super::settling::settled_soon;
use super::sync::{keeps_clients_away, print_problems};
use super::terminal;
use super::user::become_configured_user;
use crate::adapters::lock;
use crate::domain::declarations::push::set_of;
use crate::wire::api::{ProblemEntry, RegistryDocument};

/// What `start --json` prints.
#[derive(Serialize)]
struct StartDocument {
    pid: u32,
    /// False if an agent was running already.
    started: bool,
    /// The sets of this environment that the running agent did not get.
    ignored: BTreeSet<String>,
    /// What keeps clients from the sets of this environment.
    problems: Vec<ProblemEntry>,
    registries: Vec<RegistryDocument>,
}

/// `registry-agent start`
pub fn start(unless_stopped: bool, json: bool) -> anyhow::Result<ExitCode> {
    let paths = become_configured_user()?;
    if !unless_stopped {
        lock::set_stopped(&paths, false)?;
    }
    let environment = matching_environment();
    let started = ensure_running(&paths, &environment, unless_stopped)?;
    if unless_stopped {
        // The credential helper prints what its clients expect.
        return Ok(ExitCode::SUCCESS);
    }
    if !started && replace_other_version(&paths)? {
        print_note("an agent of another version was running; it was replaced and lost nothing");
    }
    let names = environment.keys().filter_map(|it| set_of(it)).map(|(_, name)| name.to_owned());
    let ignored = if started { BTreeSet::new() } else { names.collect() };
    if !ignored.is_empty() {
        print_note(&format!(
            "an agent was running already, so the variables of this shell are ignored ({}); to send them, run `registry-agent sync`",
            ignored.iter().cloned().collect::<Vec<_>>().join(", ")
        ));
    }
    let mut status = settled_soon(&paths, None)?;
    let mut problems = std::mem::take(&mut status.problems);
    problems.retain(|problem| keeps_clients_away(problem, &environment));
    let mut out = stdout();
    if json {
        let (pid, registries) = (status.pid, status.registries);
        let document = StartDocument { pid, started, ignored, problems, registries };
        writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "registry-agent runs (pid {})", status.pid)?;
    drop(out);
    let lines = login_lines(&status.registries, terminal::width());
    anstream::stdout().write_all(lines.as_bytes())?;
    print_problems(&problems)?;
    Ok(ExitCode::SUCCESS)
}
