//! What commands print: tables, colours, and the small listings.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use crate::domain::credential::Credential;
use crate::domain::export;
use crate::edge::client::{self, Client};
use crate::edge::paths::Paths;
use crate::wire::api::{EventDocument, RegistryDocument, StatusDocument};
use crate::wire::helper::HelperCredential;

/// A command that has said all there is to say, and its exit status.
#[derive(Debug, Error)]
#[error("exit status {0}")]
pub struct Failed(pub u8);

/// For questions that the agent answers from memory.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// For what goes on until it is interrupted.
pub const FOREVER: Duration = Duration::MAX;

/// What `export` prints.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ExportFormat {
    /// A config.json of docker with plain `auths`.
    DockerConfig,
    /// A secret of Kubernetes for imagePullSecrets.
    KubernetesSecret,
}

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

/// `registry-agent events`
pub fn events(follow: bool, json: bool) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let (target, patience) =
        if follow { ("/v1/events?follow=true", FOREVER) } else { ("/v1/events", PATIENCE) };
    let mut answer = Client::connect_to_any(&paths, patience)?.send("GET", target, b"")?;
    while let Some(line) = answer.line()? {
        if json {
            write!(stdout(), "{line}")?;
        } else {
            let event: EventDocument = serde_json::from_str(&line)?;
            let EventDocument { at, event, subject, detail } = event;
            writeln!(stdout(), "{at:.3}  {event:<16} {subject}  {detail}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `registry-agent export`
pub fn export(format: ExportFormat, names: &[String]) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_process();
    let status = ask_status(&paths)?;
    for name in names {
        if !status.registries.iter().any(|registry| is_called(registry, name)) {
            anyhow::bail!(
                "no registry {name} is declared; registry-agent status shows those that are"
            );
        }
    }
    let mut logins = BTreeMap::new();
    for registry in &status.registries {
        if !names.is_empty() && !names.iter().any(|name| is_called(registry, name)) {
            continue;
        }
        let server = utf8_percent_encode(&registry.server, NON_ALPHANUMERIC);
        let target = format!("/v1/credential?server={server}");
        match client::ask(&paths, "GET", &target, b"", Duration::from_secs(12)) {
            Ok(body) => {
                let login: HelperCredential = serde_json::from_slice(&body)?;
                let credential = Credential::plain(login.username, login.secret.0);
                for key in &registry.keys {
                    logins.insert(key.clone(), credential.clone());
                }
            }
            Err(error) => complain(&format!("{} is left out: {error}", registry.server)),
        }
    }
    let text = match format {
        ExportFormat::DockerConfig => export::docker_config(&logins),
        ExportFormat::KubernetesSecret => export::kubernetes_secret(&logins, "registry-agent"),
    };
    let all_there = !logins.is_empty();
    writeln!(stdout(), "{}", text.reveal().trim_end())?;
    if all_there { Ok(ExitCode::SUCCESS) } else { Err(Failed(1).into()) }
}

/// Says something beside the output.
#[expect(clippy::print_stderr, reason = "remarks do not belong into the output")]
pub fn complain(text: &str) {
    eprintln!("registry-agent: {text}");
}
