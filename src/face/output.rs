//! What commands have in common: where they print, whom they ask, when they fail.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap_complete::Shell;
use thiserror::Error;

use crate::edge::client::{self, Client};
use crate::edge::paths::Paths;
use crate::wire::api::{EventDocument, RegistryDocument, StatusDocument};

/// A command that has said all there is to say, and its exit status.
#[derive(Debug, Error)]
#[error("exit status {0}")]
pub struct Failed(pub u8);

/// For questions that the agent answers from memory.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// For what goes on until it is interrupted.
pub const FOREVER: Duration = Duration::MAX;

/// Standard output, where commands write to.
pub fn stdout() -> StdoutLock<'static> {
    io::stdout().lock()
}

/// Whether output may be coloured: on a terminal, unless `NO_COLOR` is set.
pub fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The status document of any agent that answers.
pub fn ask_status(paths: &Paths) -> Result<StatusDocument, client::ClientError> {
    Client::connect_to_any(paths, PATIENCE)?.send("GET", "/v1/status", b"")?.json()
}

/// The servers that are declared or stored, under each key clients ask for, with their users.
pub fn listing(registries: &[RegistryDocument]) -> BTreeMap<String, String> {
    let mut listing = BTreeMap::new();
    for registry in registries {
        let user = match registry.kind.as_str() {
            "ecr" | "ecr-public" => "AWS".to_owned(),
            _ => registry.user.clone().unwrap_or_default(),
        };
        for key in &registry.keys {
            listing.insert(key.clone(), user.clone());
        }
    }
    listing
}

/// Whether a line of the events tells of something after `status`.
pub fn is_news(line: &str, status: &StatusDocument) -> bool {
    serde_json::from_str::<EventDocument>(line).is_ok_and(|event| event.at > status.at)
}

/// Whether `registry` is one that a person calls `asked`.
pub fn is_called(registry: &RegistryDocument, asked: &str) -> bool {
    registry.name.as_deref() == Some(asked)
        || crate::domain::server::Server::parse(&registry.server)
            .is_ok_and(|(server, _)| server.answers_to(asked))
}

/// Says something beside the output.
#[expect(clippy::print_stderr, reason = "remarks do not belong into the output")]
pub fn complain(text: &str) {
    eprintln!("registry-agent: {text}");
}

/// `registry-agent completions`
pub fn completions(shell: Shell, command: &mut clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "registry-agent", &mut script);
    stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
