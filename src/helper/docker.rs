//! The docker credential helper.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::ExitCode;

use super::agent::Agent;
use super::fallback::Fallback;
use super::notice::Notice;
use super::{Text, credential_target, encode, finish, json_text, parse_credential, read};
use crate::adapters::agent_client::ClientError;
use crate::wire::api::{RegistryDocument, StatusDocument, WITHHELD};
use crate::wire::helper::{HelperCredential, NO_SERVER, NO_USER, NOT_FOUND};

/// One call of docker.
pub(super) struct DockerHelper {
    pub(super) agent: Agent,
}

impl DockerHelper {
    /// Runs `verb`. The protocol puts errors on standard output.
    pub(super) fn run(
        &self,
        verb: Option<&str>,
        input: &mut impl Read,
        output: &mut impl Write,
        stderr: &mut impl Write,
    ) -> ExitCode {
        let answer = match verb {
            Some("get") => read(input).and_then(|server| self.get(&server, stderr)),
            Some("store") => read(input).and_then(|login| self.store(&login, stderr)),
            Some("erase") => read(input).and_then(|server| self.erase(&server, stderr)),
            Some("list") => Ok(self.list(stderr)),
            Some("version" | "--version") => {
                let version = env!("CARGO_PKG_VERSION");
                Ok(format!("docker-credential-registry-agent {version}\n").into())
            }
            _ => {
                let usage = "usage: docker-credential-registry-agent get|store|erase|list|version";
                return finish(output, usage, ExitCode::from(2));
            }
        };
        match answer {
            Ok(text) => finish(output, &text, ExitCode::SUCCESS),
            Err(text) => finish(output, &text, ExitCode::FAILURE),
        }
    }

    fn get(&self, asked: &str, stderr: &mut impl Write) -> Result<Text, String> {
        let server = asked.trim();
        if server.is_empty() {
            return Err(NO_SERVER.to_owned());
        }
        let target = credential_target(server);
        let none = match self.agent.ask("GET", &target, b"", parse_credential) {
            Ok(credential) => return Ok(text_of(credential)),
            Err(none) => none,
        };
        if let ClientError::Refused(problem) = &none.error
            && problem.code.as_deref() == Some(WITHHELD)
        {
            Notice::of_problem(problem).print(stderr, None);
            return Err(NOT_FOUND.to_owned());
        }
        let fallback = Fallback::read(&self.agent, server);
        if let Some(notice) = Notice::of_fallback(&none, &fallback, server) {
            notice.print(stderr, fallback.login.is_some().then_some(fallback.path.as_path()));
        }
        let found = fallback.login.map(|login| text_of(HelperCredential::new(server, &login)));
        found.ok_or_else(|| NOT_FOUND.to_owned())
    }

    fn store(&self, login: &str, stderr: &mut impl Write) -> Result<Text, String> {
        let parsed: HelperCredential = serde_json::from_str(login).map_err(|error| {
            format!(
                "standard input is not a login: not valid JSON at line {} column {}",
                error.line(),
                error.column()
            )
        })?;
        if parsed.server_url.trim().is_empty() {
            return Err(NO_SERVER.to_owned());
        }
        if parsed.username.is_empty() {
            return Err(NO_USER.to_owned());
        }
        self.change("POST", "/v1/logins", login.as_bytes(), stderr)
    }

    fn erase(&self, asked: &str, stderr: &mut impl Write) -> Result<Text, String> {
        let server = asked.trim();
        if server.is_empty() {
            return Err(NO_SERVER.to_owned());
        }
        self.change("DELETE", &format!("/v1/logins?server={}", encode(server)), b"", stderr)
    }

    /// Changes the stored logins. Standard error tells what to do if that fails; standard output only
    /// why, because docker repeats it in its own message.
    fn change(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        stderr: &mut impl Write,
    ) -> Result<Text, String> {
        match self.agent.ask(method, target, body, |_| Some(())) {
            Ok(()) => Ok(Text::default()),
            Err(none) => {
                let notice = Notice::of_failure(&none);
                notice.print(stderr, None);
                Err(notice.why)
            }
        }
    }

    /// All servers. Without an agent the list is empty, because an error would fail a build.
    fn list(&self, stderr: &mut impl Write) -> Text {
        let listing = match self.agent.ask("GET", "/v1/status", b"", parse_status) {
            Ok(status) => Some(status),
            Err(none) => {
                if !none.is_expected() {
                    Notice::of_failure(&none).print(stderr, None);
                }
                None
            }
        };
        let listing = listing.map(|status| listing_of(&status.registries)).unwrap_or_default();
        serde_json::to_string(&listing).unwrap_or_else(|_| "{}".to_owned()).into()
    }
}

/// What docker reads: nothing but the three fields of its protocol.
fn text_of(credential: HelperCredential) -> Text {
    let shown = HelperCredential { usable_until: None, ..credential };
    json_text(&shown)
}

fn parse_status(body: &[u8]) -> Option<StatusDocument> {
    serde_json::from_slice(body).ok()
}

/// The users of all declared and stored servers, by each key that clients ask for.
fn listing_of(registries: &[RegistryDocument]) -> BTreeMap<String, String> {
    let mut listing = BTreeMap::new();
    for registry in registries {
        let user = match registry.kind.as_str() {
            "ecr" | "ecr-public" => "AWS".to_owned(),
            _ => registry.user.clone().unwrap_or_default(),
        };
        // A stored login is listed under the key it was stored with, a declared one under the keys
        // it is published with.
        let stored = registry.stored_as.iter();
        let published = registry.keys.iter().filter(|_| registry.is_declared());
        for key in stored.chain(published) {
            listing.insert(key.clone(), user.clone());
        }
    }
    listing
}
