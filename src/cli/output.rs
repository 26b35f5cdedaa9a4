//! What commands have in common: where they print, whom they ask, when they fail.

use std::io::{self, IsTerminal, StdoutLock};
use std::time::Duration;

use thiserror::Error;

use crate::adapters::agent_client::{self, AgentClient};
use crate::adapters::paths::Paths;
use crate::wire::api::{EventDocument, RegistryDocument, StatusDocument};

/// A command that has said all there is to say, and its exit status.
#[derive(Debug, Error)]
#[error("exit status {0}")]
pub struct Failed(pub u8);

/// For questions that the agent answers from memory.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// For what goes on until it is interrupted.
pub const NO_TIMEOUT: Duration = Duration::MAX;

/// Standard output, where commands write to.
pub fn stdout() -> StdoutLock<'static> {
    io::stdout().lock()
}

/// Whether output may be coloured: on a terminal, unless `NO_COLOR` is set.
pub fn use_color() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The status document of any agent that answers.
pub fn ask_status(paths: &Paths) -> Result<StatusDocument, agent_client::ClientError> {
    AgentClient::connect_to_any(paths, REQUEST_TIMEOUT)?.send("GET", "/v1/status", b"")?.json()
}

/// Whether a line of the events tells of something after `status`.
pub fn is_news(line: &str, status: &StatusDocument) -> bool {
    serde_json::from_str::<EventDocument>(line).is_ok_and(|event| event.at > status.at)
}

/// Whether `registry` is one that a person calls `asked`.
pub fn is_called(registry: &RegistryDocument, asked: &str) -> bool {
    registry.name.as_deref() == Some(asked)
        || crate::domain::servers::server::Server::parse(&registry.server)
            .is_ok_and(|(server, _)| server.answers_to(asked))
}

/// Says something beside the output.
#[expect(clippy::print_stderr, reason = "remarks do not belong into the output")]
pub fn print_note(text: &str) {
    eprintln!("registry-agent: {text}");
}
