//! `sync`: sends the environment of this process to the agent.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::absence::of_sudo;
use super::launch::{ensure_running, matching_environment};
use super::login_lines::login_lines;
use super::output::{self, HOW_TO_DECLARE};
use super::reason_text::ReasonText;
use super::settling::{settled_soon, still_pending};
use super::shell_sets::{undeclared, undeclared_text};
use super::status_report::{hides_declarations, is_well, proxies_first, remarks};
use super::terminal;
use super::user::become_configured_user;
use crate::adapters::{agent_client, lock};
use crate::domain::credentials::secret_json::to_json;
use crate::domain::declarations::changes::Difference;
use crate::domain::declarations::layers;
use crate::domain::declarations::source::Variables;
use crate::domain::declarations::variable;
use crate::domain::reasons::{ReasonKind, Severity};
use crate::wire::api::{
    EnvironmentAnswer, ProblemEntry, RegistryDocument, StatusDocument, parse_printable,
};
use crate::wire::handoff::reveal;

/// The agent responds once everything is published; it does not wait for exchanges.
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// The code of a login that is lost until it is sent again.
const LOST: &str = "login-lost";

/// The state of a login that cannot work as it is declared.
const INVALID: &str = "invalid";

/// What `sync --json` prints.
#[derive(Serialize)]
struct SyncDocument {
    #[serde(flatten)]
    change: EnvironmentAnswer,
    /// What else keeps clients from what was sent.
    problems: Vec<ProblemEntry>,
    registries: Vec<RegistryDocument>,
}

/// `registry-agent sync`
pub fn sync(json: bool, wait: Option<Duration>) -> anyhow::Result<ExitCode> {
    let paths = become_configured_user()?;
    let variables = matching_environment();
    // The agent gets these variables by the push. It needs them in its own environment only if the
    // push is ignored because it declares no registry.
    let counts = layers::push_counts(None, &variables);
    if !counts && let Some(absence) = of_sudo(&paths) {
        // An agent of root without any registry would be of no use.
        return Err(absence.into());
    }
    lock::set_stopped(&paths, false)?;
    let nothing = Variables::new();
    ensure_running(&paths, if counts { &nothing } else { &variables }, false)?;
    let body = to_json(&reveal(&variables))?;
    let answer = agent_client::ask(&paths, "PUT", "/v1/environment", &body, SYNC_TIMEOUT)?;
    let change: EnvironmentAnswer = parse_printable(&answer)?;
    if !json {
        let EnvironmentAnswer { added, changed, removed, variables, .. } = change.clone();
        let difference = Difference { added, changed, removed, variables };
        writeln!(output::stdout(), "{}", difference.summary())?;
    }
    let (waits, wait) = (wait.is_some(), if json { wait.or(Some(Duration::ZERO)) } else { wait });
    let status = settled_soon(&paths, wait)?;
    let undeclared = undeclared(&status);
    let StatusDocument { registries, mut problems, .. } = status;
    let hides_declarations = hides_declarations(&problems);
    // A set that is ignored leaves a login that works, but not the one that was sent.
    let is_ignored = |problem: &ProblemEntry| {
        problem.code == "server-declared-twice" && declares(&variables, &problem.name)
    };
    let ignored: Vec<ProblemEntry> = problems.iter().filter(|it| is_ignored(it)).cloned().collect();
    let is_declared = |registry: &&RegistryDocument| {
        registry.name.as_deref().is_some_and(|name| declares(&variables, name))
    };
    let about_these = problems.iter().filter(|problem| {
        declares(&variables, &problem.name) && !change.incomplete.contains(problem)
    });
    let remarks = remarks(registries.iter().filter(is_declared), about_these);
    problems.retain(|problem| {
        keeps_clients_away(problem, &variables) && !change.incomplete.contains(problem)
    });
    let is_invalid =
        |registry: &RegistryDocument| registry.state == INVALID && is_declared(&registry);
    // Who waits for the verdicts wants to know them.
    let is_well = |registry: &RegistryDocument| is_well(registry) || !is_declared(&registry);
    if waits && let Some(note) = still_pending(&registries) {
        output::print_note(&format!("timed out; {note}"));
    }
    let works = (!waits || registries.iter().all(is_well))
        && change.incomplete.is_empty()
        && problems.is_empty()
        && undeclared.is_empty()
        && !registries.iter().any(is_invalid);
    let code = ExitCode::from(u8::from(!works));
    if json {
        let document = SyncDocument { change, problems, registries };
        writeln!(output::stdout(), "{}", serde_json::to_string_pretty(&document)?)?;
        return Ok(code);
    }
    // A set that is here and no longer works is a problem below.
    let gone = change.removed.iter().map(String::as_str);
    let gone: Vec<&str> = gone.filter(|name| !declares(&variables, name)).collect();
    if !gone.is_empty() {
        output::print_note(&replaced(&gone));
    }
    if !counts {
        let is_empty = registries.is_empty() && !hides_declarations && undeclared.is_empty();
        let how = if is_empty { format!("; {HOW_TO_DECLARE}") } else { String::new() };
        output::print_note(&format!("no exported variable of this shell declares a registry{how}"));
    }
    let (proxies, problems) = proxies_first(&problems);
    print_problems(proxies)?;
    anstream::stdout().write_all(login_lines(&registries, terminal::width()).as_bytes())?;
    print_problems(change.incomplete.iter().chain(problems).chain(&ignored))?;
    print_reasons(&remarks)?;
    let text = undeclared_text(&undeclared, terminal::width_of_stderr());
    anstream::stderr().write_all(text.as_bytes())?;
    Ok(code)
}

/// Says why logins are gone, and how to keep them.
fn replaced(removed: &[&str]) -> String {
    let names = removed.join(", ");
    let (was, is) = if removed.len() == 1 { ("was", "is") } else { ("were", "are") };
    format!(
        "{names} {was} declared by an earlier `sync` and {is} not set in this shell, and each `sync` replaces the one before; to keep all, run `registry-agent sync` in a shell that has all variables, or write them to an env file that `sources` in ~/.config/registry-agent/config.toml names"
    )
}

/// Whether a variable belongs to the set `name`, or was meant to.
fn declares(variables: &Variables, name: &str) -> bool {
    let mut sets = variables.keys().filter_map(|variable| variable::parse(variable));
    sets.any(|parsed| parsed.name == name)
}

/// Prints what keeps clients from a login, with its fix.
pub(super) fn print_problems<'a>(
    problems: impl IntoIterator<Item = &'a ProblemEntry>,
) -> io::Result<()> {
    let reasons: Vec<ReasonText> = problems.into_iter().map(ReasonText::of_problem).collect();
    print_reasons(&reasons)
}

/// Prints reasons, each with its fix.
pub(super) fn print_reasons(reasons: &[ReasonText]) -> io::Result<()> {
    let width = terminal::width_of_stderr();
    let text: String = reasons.iter().map(|reason| reason.text(width)).collect();
    anstream::stderr().write_all(text.as_bytes())
}

/// Whether a problem is about these variables, about the configuration, about that of docker, or about a
/// login that was lost, and keeps clients from a login: what was sent has no effect then.
pub(super) fn keeps_clients_away(problem: &ProblemEntry, variables: &Variables) -> bool {
    let of_all = [ReasonKind::Configuration, ReasonKind::DockerConfiguration];
    let concerns_sync = declares(variables, &problem.name)
        || variables.contains_key(&problem.name)
        || problem.code == LOST
        || of_all.iter().any(|kind| problem.kind == kind.as_str());
    concerns_sync && problem.severity == Severity::Error
}
