//! Shared by the commands: output, exit status, requests to the agent.

use std::io::{self, StdoutLock};
use std::time::Duration;

use thiserror::Error;

use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::lock;
use crate::adapters::paths::Paths;
use crate::domain::declarations::variable::Family;
use crate::domain::printable::printable;
use crate::domain::reasons::shell_word;
use crate::domain::servers::package_server::PackageServer;
use crate::wire::api::{RegistryDocument, StatusDocument, parse_printable};

/// The exit status of a command that has already printed why it failed.
#[derive(Debug, Error)]
#[error("exit status {0}")]
pub struct Failed(pub u8);

/// The time limit for requests that the agent answers from memory.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// For streams that the user ends.
pub const NO_TIMEOUT: Duration = Duration::MAX;
/// How the docker configuration calls Docker Hub.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// How people call it.
const DOCKER_HUB: &str = "docker.io";
/// The fix if no registry is declared.
pub const HOW_TO_DECLARE: &str = "set and export <NAME>_CONTAINER_REGISTRY_SERVER, <NAME>_CONTAINER_REGISTRY_USER and <NAME>_CONTAINER_REGISTRY_PASSWORD, or for packages the same with _PACKAGE_REGISTRY_, then run `registry-agent sync`";

/// Standard output.
pub fn stdout() -> StdoutLock<'static> {
    io::stdout().lock()
}

/// The status document of the first agent that responds, also while it is being replaced.
pub fn ask_status(paths: &Paths) -> Result<StatusDocument, ClientError> {
    let status = agent_client::ask_any(paths, "/v1/status", REQUEST_TIMEOUT)?;
    parse_printable(&status).map_err(|error| ClientError::Garbled(error.to_string()))
}

/// How to start an agent where none runs.
pub fn how_to_start(paths: &Paths) -> String {
    match lock::missing_directory(paths) {
        None => "start one with `registry-agent sync`".to_owned(),
        Some(dir) => {
            let dir = dir.to_string_lossy();
            format!(
                "REGISTRY_AGENT_SOCKET is in {dir}, which does not exist: run `mkdir -p {} && registry-agent sync`",
                shell_word(&dir)
            )
        }
    }
}

/// The package registry, if it is one.
pub fn package_server(registry: &RegistryDocument) -> Option<PackageServer> {
    let server = PackageServer::parse(&registry.server).ok();
    server.filter(|_| registry.family == Family::Package)
}

/// A server as people call it.
pub fn server_for_people(server: &str) -> &str {
    if server == DOCKER_HUB_KEY { DOCKER_HUB } else { server }
}

/// A sentence with Docker Hub as people call it, not as the docker configuration does.
pub fn for_people(text: &str) -> String {
    printable(text).replace(DOCKER_HUB_KEY, DOCKER_HUB)
}

/// Prints a note on standard error.
#[expect(clippy::print_stderr, reason = "notes are not part of the output")]
pub fn print_note(text: &str) {
    eprintln!("registry-agent: {}", printable(text));
}
