//! The first step: an agent runs and answers this user.

use std::time::{Duration, Instant};

use super::report::Outcome;
use crate::adapters::agent_client::{AgentClient, ClientError};
use crate::adapters::clock;
use crate::adapters::paths::Paths;
use crate::cli::absence::{user_name, why_none, why_not};
use crate::cli::output::REQUEST_TIMEOUT;
use crate::domain::reasons::{AgentReason, Reason};
use crate::wire::api::{StatusDocument, parse_printable};

/// The pause before an agent that is starting is asked again.
const START_PAUSE: Duration = Duration::from_millis(20);

/// An agent that answers this user.
pub(super) struct RunningAgent {
    /// The user ID that it runs as.
    pub(super) uid: u32,
    /// What it knows.
    pub(super) status: StatusDocument,
}

/// Asks the agent for its status.
pub(super) fn ask(paths: &Paths) -> Result<(RunningAgent, Outcome), AgentReason> {
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let (uid, socket, status) = loop {
        let reason = match ask_once(paths) {
            Ok(answer) => break answer,
            Err(ClientError::NoAgent) => match why_none(paths) {
                // An agent that is starting holds the lock before it listens.
                AgentReason::Silent { .. } if Instant::now() < deadline => {
                    clock::pause(START_PAUSE);
                    continue;
                }
                reason => reason,
            },
            Err(error) => why_not(paths, error),
        };
        return Err(reason);
    };
    let detail = format!(
        "version {}, of {}, process {}, on {socket}",
        status.version,
        user_name(paths, uid),
        status.pid
    );
    let program = env!("CARGO_PKG_VERSION");
    let mut remarks = Vec::new();
    if status.version != program {
        let (agent, program) = (status.version.clone(), program.to_owned());
        remarks.push(Reason::from(AgentReason::OtherVersion { agent, program }).into());
    }
    Ok((RunningAgent { uid, status }, Outcome::Passed(detail, remarks)))
}

fn ask_once(paths: &Paths) -> Result<(u32, String, StatusDocument), ClientError> {
    let client = AgentClient::connect(paths, REQUEST_TIMEOUT)?;
    let (uid, socket) = (client.uid()?, client.socket().display().to_string());
    let body = client.send("GET", "/v1/status", b"")?.bytes()?;
    let status = parse_printable(&body).map_err(|_| ClientError::unexpected_json())?;
    Ok((uid, socket, status))
}
