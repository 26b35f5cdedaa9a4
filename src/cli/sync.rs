//! `sync`: sends the environment of this process to the agent.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use super::launch::{ensure_running, matching_environment};
use super::login_lines::login_lines;
use super::output::{self, HOW_TO_DECLARE};
use super::reason_text::ReasonText;
use super::settling::settled_soon;
use super::terminal;
use super::user::become_configured_user;
use crate::adapters::{agent_client, lock};
use crate::domain::credentials::secret_json::to_json;
use crate::domain::declarations::changes::Difference;
use crate::domain::declarations::layers;
use crate::domain::declarations::push::set_of;
use crate::domain::declarations::source::Variables;
use crate::domain::reasons::{ReasonKind, Severity};
use crate::wire::api::{EnvironmentAnswer, ProblemEntry, StatusDocument};
use crate::wire::handoff::reveal;

/// The agent responds once everything is published; it does not wait for exchanges.
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// `registry-agent sync`
pub fn sync(json: bool, wait: Option<Duration>) -> anyhow::Result<ExitCode> {
    let paths = become_configured_user()?;
    lock::set_stopped(&paths, false)?;
    let variables = matching_environment();
    // The agent gets these variables by the push. It needs them in its own environment only if the
    // push is ignored because it declares no registry.
    let counts = layers::push_counts(None, &variables);
    let nothing = Variables::new();
    ensure_running(&paths, if counts { &nothing } else { &variables }, false)?;
    let body = to_json(&reveal(&variables))?;
    let answer = agent_client::ask(&paths, "PUT", "/v1/environment", &body, SYNC_TIMEOUT)?;
    let answer: EnvironmentAnswer = serde_json::from_slice(&answer)?;
    let code = ExitCode::from(u8::from(!answer.incomplete.is_empty()));
    let mut out = output::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&answer)?)?;
        return Ok(code);
    }
    let EnvironmentAnswer { added, changed, removed, incomplete } = answer;
    writeln!(out, "{}", Difference { added, changed, removed }.summary())?;
    drop(out);
    let StatusDocument { registries, problems, .. } = settled_soon(&paths, wait)?;
    if !counts {
        let how = if registries.is_empty() { format!("; {HOW_TO_DECLARE}") } else { String::new() };
        output::print_note(&format!("no variable of this shell declares a registry{how}"));
    }
    anstream::stdout().write_all(login_lines(&registries, terminal::width()).as_bytes())?;
    let others = problems.iter().filter(|problem| keeps_clients_away(problem, &variables));
    let others = others.filter(|problem| !incomplete.contains(problem));
    for problem in incomplete.iter().chain(others) {
        let text = ReasonText::of_problem(problem).text(terminal::width_of_stderr());
        anstream::stderr().write_all(text.as_bytes())?;
    }
    Ok(code)
}

fn is_in(variable: &str, set: &str) -> bool {
    set_of(variable).is_some_and(|(_, name)| name == set)
}

/// Whether a problem is about these variables, or about the docker configuration, and keeps clients
/// from a login: what was sent has no effect then.
fn keeps_clients_away(problem: &ProblemEntry, variables: &Variables) -> bool {
    let is_of_a_set = variables.keys().any(|name| is_in(name, &problem.name));
    let concerns_sync = is_of_a_set || problem.kind == ReasonKind::DockerConfiguration.as_str();
    concerns_sync && problem.severity == Severity::Error
}
