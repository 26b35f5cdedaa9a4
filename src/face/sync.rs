//! `sync`: hands the environment of this process to the agent.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use zeroize::Zeroizing;

use super::output;
use super::start::{ensure, matching_environment, settle};
use crate::domain::difference::Difference;
use crate::domain::layers;
use crate::domain::source::Variables;
use crate::edge::{client, lock};
use crate::wire::api::EnvironmentAnswer;
use crate::wire::memory::reveal;

/// How long the agent may take to read, exchange nothing, and publish.
const PATIENCE: Duration = Duration::from_secs(30);

/// `registry-agent sync`
pub fn sync(json: bool) -> anyhow::Result<ExitCode> {
    let (paths, _config) = settle()?;
    lock::set_stopped(&paths, false)?;
    let variables = matching_environment();
    // What is pushed need not be in the agent's own environment too, unless the push does not count.
    let counts = layers::push_counts(None, &variables);
    let nothing = Variables::new();
    ensure(&paths, if counts { &nothing } else { &variables }, false)?;
    let body = Zeroizing::new(serde_json::to_vec(&reveal(&variables))?);
    let answer = client::ask(&paths, "PUT", "/v1/environment", &body, PATIENCE)?;
    // Where another environment is needed, the agent that answered is replaced by one that publishes
    // before it answers.
    client::ask(&paths, "GET", "/healthz", b"", PATIENCE)?;
    let answer: EnvironmentAnswer = serde_json::from_slice(&answer)?;
    let mut out = output::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&answer)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let EnvironmentAnswer { added, changed, removed } = answer;
    writeln!(out, "{}", Difference { added, changed, removed }.summary())?;
    Ok(ExitCode::SUCCESS)
}
