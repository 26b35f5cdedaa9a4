//! The docker credential helper.
//!
//! Every command ends within [`TOTAL_TIMEOUT`], because docker runs the helper for every build. An agent
//! that hangs counts as one that does not run.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::from_slice;
use zeroize::Zeroizing;

use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::clock;
use crate::adapters::lock;
use crate::adapters::paths::Paths;
use crate::domain::docker_config::plain_auth;
use crate::domain::servers::server::{self, Server};
use crate::wire::api::{RegistryDocument, StatusDocument, WITHHELD};
use crate::wire::helper::{HelperCredential, NO_SERVER, NO_USER, NOT_FOUND};

/// The longest that a command may take.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(12);
/// The part of [`TOTAL_TIMEOUT`] that is reserved for the fallback.
const FALLBACK_RESERVE: Duration = Duration::from_millis(500);
/// The maximum size of the input; no client sends as much.
const INPUT_LIMIT: u64 = 16 * 1024 * 1024;

/// Runs `verb`. The protocol puts errors on standard output.
pub fn run(
    verb: Option<&str>,
    input: &mut impl Read,
    output: &mut impl Write,
    stderr: &mut impl Write,
) -> ExitCode {
    let helper =
        Helper { paths: Paths::of_this_process(), deadline: Instant::now() + TOTAL_TIMEOUT };
    let answer = match verb {
        Some("get") => read(input).and_then(|server| helper.get(&server, stderr)),
        Some("store") => read(input).and_then(|login| helper.store(&login, stderr)),
        Some("erase") => read(input).and_then(|server| helper.erase(&server, stderr)),
        Some("list") => Ok(helper.list()),
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
    paths: Paths,
    deadline: Instant,
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
        match self.ask_agent("GET", &target, b"") {
            Ok(body) => Ok(text(&body)),
            Err(NoAnswer { error: ClientError::Refused(problem), .. })
                if problem.code.as_deref() == Some(WITHHELD) =>
            {
                let hint = problem.hint.unwrap_or_default();
                let why = problem.detail.unwrap_or(problem.title);
                // An error here must not change the result.
                let _ = writeln!(stderr, "registry-agent: {why}; {hint}");
                Err(NOT_FOUND.to_owned())
            }
            Err(error) => self.fallback(server).inspect_err(|_| error.explain(stderr)),
        }
    }

    /// The plain entry of the docker configuration, which docker itself would use without a helper.
    fn fallback(&self, asked: &str) -> Result<Text, String> {
        let not_found = || NOT_FOUND.to_owned();
        let (server, _) = Server::parse(asked).map_err(|_| not_found())?;
        if server::web_login_token(asked).is_some() {
            // The password of Docker Hub is not a token.
            return Err(not_found());
        }
        let dir = env::var("DOCKER_CONFIG").ok();
        let file = self.paths.docker_config_file(dir.as_deref());
        let config = Zeroizing::new(fs::read_to_string(file).map_err(|_| not_found())?);
        let credential = plain_auth(&config, &server).ok_or_else(not_found)?;
        serde_json::to_string(&HelperCredential::new(asked, &credential))
            .map(Zeroizing::new)
            .map_err(|_| not_found())
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
        self.ask_agent("POST", "/v1/logins", login.as_bytes())
            .map_err(|none| none.report(stderr))?;
        Ok(Text::default())
    }

    fn erase(&self, asked: &str, stderr: &mut impl Write) -> Result<Text, String> {
        let server = asked.trim();
        if server.is_empty() {
            return Err(NO_SERVER.to_owned());
        }
        let target = format!("/v1/logins?server={}", encode(server));
        self.ask_agent("DELETE", &target, b"").map_err(|none| none.report(stderr))?;
        Ok(Text::default())
    }

    /// All servers. Without an agent the list is empty, because an error would fail a build.
    fn list(&self) -> Text {
        let status = self.ask_agent("GET", "/v1/status", b"").ok();
        let status = status.and_then(|body| from_slice::<StatusDocument>(&body).ok());
        let listing = status.map(|status| listing(&status.registries)).unwrap_or_default();
        serde_json::to_string(&listing).unwrap_or_else(|_| "{}".to_owned()).into()
    }

    /// Asks the agent, and starts one first unless it was stopped on purpose.
    fn ask_agent(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
        let ask = || agent_client::ask(&self.paths, method, target, body, self.remaining());
        let mut start_error = None;
        let answer = match ask() {
            Err(ClientError::NoAgent | ClientError::NotOurs { .. })
                if !lock::is_stopped(&self.paths) =>
            {
                start_error = self.start();
                ask()
            }
            other => other,
        };
        answer.map_err(|error| NoAnswer { error, start_error })
    }

    /// Starts an agent with the environment of this process, or returns why it cannot.
    fn start(&self) -> Option<String> {
        let started = Command::new(agent_program())
            .args(["start", "--unless-stopped"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => return Some(format!("registry-agent cannot be run: {error}")),
        };
        while matches!(child.try_wait(), Ok(None)) && !self.remaining().is_zero() {
            clock::pause(Duration::from_millis(5));
        }
        // After the time limit `start` must not start an agent any more.
        let _ = child.kill();
        // Its output fits in a pipe, and the agent that it starts does not inherit the pipe.
        let output = child.wait_with_output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().next().unwrap_or("it does not respond");
        let line = line.strip_prefix("registry-agent: ").unwrap_or(line);
        (!output.status.success()).then(|| line.to_owned())
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).saturating_sub(FALLBACK_RESERVE)
    }
}

/// Why the agent did not answer, and why none could be started.
struct NoAnswer {
    error: ClientError,
    start_error: Option<String>,
}

impl NoAnswer {
    /// Prints one line to standard error if the user can do something about it.
    fn explain(&self, stderr: &mut impl Write) {
        let (why, fix) = match (&self.start_error, &self.error) {
            (_, ClientError::Refused(_)) | (None, ClientError::NoAgent) => return,
            (Some(why), ClientError::NotOurs { .. }) => (
                format!("{}, whose own agent cannot be started: {why}", self.error),
                "run `registry-agent start`",
            ),
            (Some(why), _) => {
                (format!("the agent cannot be started: {why}"), "run `registry-agent start`")
            }
            (None, error @ ClientError::NotOurs { .. }) => {
                (error.to_string(), "run `registry-agent start` as the current user")
            }
            (None, error) => {
                (error.to_string(), "run `registry-agent stop`, then `registry-agent start`")
            }
        };
        // An error here must not change the result.
        let _ = writeln!(stderr, "registry-agent: {why}; {fix}");
    }

    /// Does the same, and returns the error for standard output, where the protocol expects it.
    fn report(&self, stderr: &mut impl Write) -> String {
        self.explain(stderr);
        self.error.to_string()
    }
}

/// The users of all declared and stored servers, by each key that clients ask for.
fn listing(registries: &[RegistryDocument]) -> BTreeMap<String, String> {
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

/// `registry-agent` is installed next to the helper.
fn agent_program() -> OsString {
    let beside = env::current_exe().ok().map(|exe| exe.with_file_name("registry-agent"));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("registry-agent")).into()
}

fn encode(server: &str) -> String {
    utf8_percent_encode(server, NON_ALPHANUMERIC).to_string()
}

fn text(body: &[u8]) -> Text {
    String::from_utf8_lossy(body).into_owned().into()
}
