//! The docker credential helper.
//!
//! Every command ends within [`TOTAL_TIMEOUT`], because docker runs the helper for every build. An agent
//! that hangs counts as one that does not run.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::from_slice;
use zeroize::Zeroizing;

use self::agent::Agent;
use self::fallback::Fallback;
use self::notice::Notice;
use crate::adapters::agent_client::ClientError;
use crate::adapters::paths::Paths;
use crate::wire::api::{RegistryDocument, StatusDocument, WITHHELD};
use crate::wire::helper::{HelperCredential, NO_SERVER, NO_USER, NOT_FOUND};

mod agent;
mod fallback;
mod notice;

/// The longest that a command may take.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(12);
/// The maximum size of the input; no client sends as much.
const INPUT_LIMIT: u64 = 16 * 1024 * 1024;

/// Runs `verb`. The protocol puts errors on standard output.
pub fn run(
    verb: Option<&str>,
    input: &mut impl Read,
    output: &mut impl Write,
    stderr: &mut impl Write,
) -> ExitCode {
    let paths = Paths::of_this_process();
    let helper = Helper { agent: Agent { paths, deadline: Instant::now() + TOTAL_TIMEOUT } };
    let answer = match verb {
        Some("get") => read(input).and_then(|server| helper.get(&server, stderr)),
        Some("store") => read(input).and_then(|login| helper.store(&login, stderr)),
        Some("erase") => read(input).and_then(|server| helper.erase(&server, stderr)),
        Some("list") => Ok(helper.list(stderr)),
        Some("version" | "--version") => {
            Ok(format!("docker-credential-registry-agent {}\n", env!("CARGO_PKG_VERSION")).into())
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

fn finish(output: &mut impl Write, text: &str, code: ExitCode) -> ExitCode {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let written = write!(output, "{text}{end}").and_then(|()| output.flush());
    if written.is_ok() { code } else { ExitCode::FAILURE }
}

fn read(input: &mut impl Read) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    input
        .take(INPUT_LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot read standard input: {error}"))?;
    Ok(text)
}

struct Helper {
    agent: Agent,
}

/// The output on success; it may contain a secret.
type Text = Zeroizing<String>;

impl Helper {
    fn get(&self, asked: &str, stderr: &mut impl Write) -> Result<Text, String> {
        let server = asked.trim();
        if server.is_empty() {
            return Err(NO_SERVER.to_owned());
        }
        let target = format!("/v1/credential?server={}", encode(server));
        let none = match self.agent.ask("GET", &target, b"", is_credential) {
            Ok(body) => return Ok(text(&body)),
            Err(none) => none,
        };
        if let ClientError::Refused(problem) = &none.error
            && problem.code.as_deref() == Some(WITHHELD)
        {
            Notice::of_problem(problem).print(stderr, None);
            return Err(NOT_FOUND.to_owned());
        }
        let fallback = Fallback::read(&self.agent, server);
        if let Some(notice) = Notice::of_fallback(&none, &fallback) {
            notice.print(stderr, fallback.login.is_some().then_some(fallback.path.as_path()));
        }
        let found = fallback.login.and_then(|credential| {
            serde_json::to_string(&HelperCredential::new(server, &credential)).ok()
        });
        found.map(Zeroizing::new).ok_or_else(|| NOT_FOUND.to_owned())
    }

    fn store(&self, login: &str, stderr: &mut impl Write) -> Result<Text, String> {
        let parsed: HelperCredential = serde_json::from_str(login).map_err(|error| {
            format!(
                "standard input is not a login: invalid JSON at line {} column {}",
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
        match self.agent.ask(method, target, body, |_| true) {
            Ok(_) => Ok(Text::default()),
            Err(none) => {
                let notice = Notice::of_failure(&none);
                notice.print(stderr, None);
                Err(notice.why)
            }
        }
    }

    /// All servers. Without an agent the list is empty, because an error would fail a build.
    fn list(&self, stderr: &mut impl Write) -> Text {
        let listing = match self.agent.ask("GET", "/v1/status", b"", is_status) {
            Ok(body) => from_slice::<StatusDocument>(&body).ok(),
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

/// Whether `body` is what clients expect of `get`. An agent of another version, or a program that is
/// none, may send anything.
fn is_credential(body: &[u8]) -> bool {
    from_slice::<HelperCredential>(body).is_ok_and(|credential| !credential.username.is_empty())
}

fn is_status(body: &[u8]) -> bool {
    from_slice::<StatusDocument>(body).is_ok()
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

fn encode(server: &str) -> String {
    utf8_percent_encode(server, NON_ALPHANUMERIC).to_string()
}

fn text(body: &[u8]) -> Text {
    String::from_utf8_lossy(body).into_owned().into()
}
