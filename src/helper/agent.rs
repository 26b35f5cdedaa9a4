//! Asks the agent, and starts one first where that is wanted.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::paths::Paths;
use crate::adapters::{clock, config, lock, ownership};
use crate::domain::reasons::AgentReason;
use crate::wire::api::UNKNOWN_REGISTRY;

/// The part of the time that is reserved for the fallback.
const FALLBACK_RESERVE: Duration = Duration::from_millis(500);

/// This user's agent, which has to answer by the deadline.
pub(super) struct Agent {
    pub(super) paths: Paths,
    pub(super) deadline: Instant,
}

/// Why there is no answer.
pub(super) struct NoAnswer {
    pub(super) error: ClientError,
    /// Why no agent was started, if none runs.
    pub(super) not_started: Option<NotStarted>,
    /// Whether this process started the agent.
    pub(super) has_started: bool,
}

/// Why the helper did not start an agent.
pub(super) enum NotStarted {
    /// A user stopped it.
    Stopped,
    /// This user's `sudo` made this process root, and root has no agent.
    Sudo { user: String },
    /// A configuration file is invalid.
    Unconfigured(AgentReason),
    /// It cannot be started.
    Failed(String),
}

impl Agent {
    /// Asks the agent, and starts one first unless it was stopped on purpose. A response that
    /// `parse` does not understand counts as none.
    pub(super) fn ask<T>(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, NoAnswer> {
        let ask = || self.ask_running(method, target, body, &parse);
        let no_answer = |error| NoAnswer { error, not_started: None, has_started: false };
        match ask() {
            Err(error @ (ClientError::NoAgent | ClientError::NotOurs { .. })) => {
                match self.start() {
                    Ok(()) => {
                        ask().map_err(|error| NoAnswer { has_started: true, ..no_answer(error) })
                    }
                    Err(why) => Err(NoAnswer { not_started: Some(why), ..no_answer(error) }),
                }
            }
            other => other.map_err(no_answer),
        }
    }

    /// Asks an agent that runs already.
    pub(super) fn ask_running<T>(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, ClientError> {
        let answer = agent_client::ask(&self.paths, method, target, body, self.remaining())?;
        parse(&answer).ok_or_else(ClientError::unexpected_json)
    }

    /// Starts an agent with the environment of this process.
    fn start(&self) -> Result<(), NotStarted> {
        if lock::is_stopped(&self.paths) {
            return Err(NotStarted::Stopped);
        }
        if let Some(user) = self.sudo_user() {
            return Err(NotStarted::Sudo { user });
        }
        let started = Command::new(agent_program())
            .args(["start", "--unless-stopped"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.map_err(|error| {
            NotStarted::Failed(format!("registry-agent cannot be run: {error}"))
        })?;
        while matches!(child.try_wait(), Ok(None)) && !self.remaining().is_zero() {
            clock::pause(Duration::from_millis(5));
        }
        // After the time limit `start` must not start an agent any more.
        let _ = child.kill();
        // Its output fits in a pipe, and the agent that it starts does not inherit the pipe.
        let Ok(output) = child.wait_with_output() else { return Ok(()) };
        if output.status.success() {
            return Ok(());
        }
        // `start` has just read the files, so their file system responds.
        if let Err(error) = config::load(&self.paths.config_files()) {
            let (path, fault) = (error.path().display().to_string(), error.to_string());
            return Err(NotStarted::Unconfigured(AgentReason::Unconfigured { path, fault }));
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().next().unwrap_or("it does not respond");
        let line = line.strip_prefix("registry-agent: ").unwrap_or(line);
        Err(NotStarted::Failed(line.to_owned()))
    }

    /// The user whose `sudo` runs this process, unless the configuration gives root an agent: an
    /// agent of root would know nothing of what that user declared.
    fn sudo_user(&self) -> Option<String> {
        let uid: u32 = env::var("SUDO_UID").ok()?.parse().ok()?;
        let is_sudo = self.paths.uid_outside == 0 && uid != 0;
        let configured =
            || config::user(&self.paths.config_files()).is_some_and(|name| name != "root");
        if !is_sudo || configured() {
            return None;
        }
        Some(ownership::name_of(uid))
    }

    /// How long the agent may still take.
    pub(super) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).saturating_sub(FALLBACK_RESERVE)
    }
}

impl NoAnswer {
    /// Whether the agent answered that nobody declared the registry.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(&self.error, ClientError::Refused(problem)
            if problem.code.as_deref() == Some(UNKNOWN_REGISTRY))
    }

    /// Whether somebody wants no agent to run.
    pub(super) fn is_expected(&self) -> bool {
        matches!(self.not_started, Some(NotStarted::Stopped | NotStarted::Sudo { .. }))
    }
}

/// `registry-agent` is installed next to the helper.
fn agent_program() -> OsString {
    let beside = env::current_exe().ok().map(|exe| exe.with_file_name("registry-agent"));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("registry-agent")).into()
}
