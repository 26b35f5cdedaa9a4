//! Shared by the commands: output, exit status, requests to the agent.

use std::io::{self, StdoutLock};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::adapters::agent_client::{self, AgentResponse, ClientError};
use crate::adapters::clock;
use crate::adapters::paths::Paths;
use crate::wire::api::{EventDocument, RegistryDocument, StatusDocument};

/// The exit status of a command that has already printed why it failed.
#[derive(Debug, Error)]
#[error("exit status {0}")]
pub struct Failed(pub u8);

/// The time limit for requests that the agent answers from memory.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// For streams that the user ends.
pub const NO_TIMEOUT: Duration = Duration::MAX;
/// The minimum time between two requests for the whole status.
const STATUS_INTERVAL: Duration = Duration::from_millis(50);
/// The fix if no registry is declared.
pub const HOW_TO_DECLARE: &str = "set <NAME>_CONTAINER_REGISTRY_SERVER, <NAME>_CONTAINER_REGISTRY_USER and <NAME>_CONTAINER_REGISTRY_PASSWORD, then run `registry-agent sync`";

/// Standard output.
pub fn stdout() -> StdoutLock<'static> {
    io::stdout().lock()
}

/// The status document of the first agent that responds.
pub fn ask_status(paths: &Paths) -> Result<StatusDocument, ClientError> {
    let status = agent_client::ask_any(paths, "/v1/status", REQUEST_TIMEOUT)?;
    serde_json::from_slice(&status).map_err(|error| ClientError::Garbled(error.to_string()))
}

/// Waits for an event after `status`, which was asked for at `asked_at`. False if the agent goes away.
/// Returns no sooner than [`STATUS_INTERVAL`] after that, so that a burst of events leads to few
/// requests for the whole status.
pub fn wait_for_news(
    feed: &mut AgentResponse,
    status: &StatusDocument,
    asked_at: Instant,
) -> Result<bool, ClientError> {
    loop {
        match feed.line() {
            Ok(Some(line)) if is_news(&line, status) => break,
            // The stream starts with past events.
            Ok(Some(_)) => {}
            Ok(None) | Err(ClientError::Broken(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    clock::pause(STATUS_INTERVAL.saturating_sub(asked_at.elapsed()));
    Ok(true)
}

/// Whether a line of the event stream is newer than `status`.
fn is_news(line: &str, status: &StatusDocument) -> bool {
    serde_json::from_str::<EventDocument>(line).is_ok_and(|event| event.seq > status.seq)
}

/// Whether `asked` is the name or the server, in any form, of `registry`.
pub fn is_called(registry: &RegistryDocument, asked: &str) -> bool {
    registry.name.as_deref() == Some(asked)
        || registry.covers.as_deref() == Some(asked)
        || crate::domain::servers::server::Server::parse(&registry.server)
            .is_ok_and(|(server, _)| server.answers_to(asked))
}

/// Prints a note on standard error.
#[expect(clippy::print_stderr, reason = "notes are not part of the output")]
pub fn print_note(text: &str) {
    eprintln!("registry-agent: {text}");
}
