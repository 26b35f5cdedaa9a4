//! The first step: an agent runs and answers this user.

use std::env;
use std::fs;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::Value;

use super::report::Outcome;
use super::service::start_command;
use crate::adapters::agent_client::{AgentClient, ClientError};
use crate::adapters::clock;
use crate::adapters::lock::{self, LockError};
use crate::adapters::passwd;
use crate::adapters::paths::Paths;
use crate::agent::config_watch;
use crate::cli::output::REQUEST_TIMEOUT;
use crate::domain::reasons::{AgentReason, Reason};
use crate::wire::api::StatusDocument;

/// The pause before an agent that is starting is asked again.
const START_PAUSE: Duration = Duration::from_millis(20);
/// How long to wait for the configuration, whose file system may hang.
const CONFIG_TIMEOUT: Duration = Duration::from_millis(500);
/// The most of a log line that is shown, in characters.
const LINE_SHOWN: usize = 200;

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
    Ok((uid, socket, client.send("GET", "/v1/status", b"")?.json()?))
}

/// Why no agent listens.
fn why_none(paths: &Paths) -> AgentReason {
    match calling_user(paths) {
        Some(caller) if has_agent(&caller) => under_sudo(paths, caller.name),
        // What is missing is the agent of the user who called `sudo`.
        Some(caller) => not_running(&Paths::of_user(&caller), caller.name),
        None => not_running(paths, user_name(paths, paths.uid)),
    }
}

/// Why the agent that listens is of no use.
fn why_not(paths: &Paths, error: ClientError) -> AgentReason {
    let user = user_name(paths, paths.uid);
    match error {
        ClientError::NotOurs { socket, uid } => match calling_user(paths) {
            Some(caller) if caller.uid == uid => under_sudo(paths, caller.name),
            _ => {
                let (socket, owner) = (socket.display().to_string(), user_name(paths, uid));
                AgentReason::Foreign { socket, owner, user }
            }
        },
        ClientError::SharedUid(reason) => *reason,
        error => silent(paths, error.to_string()),
    }
}

fn silent(paths: &Paths, fault: String) -> AgentReason {
    let agent = lock::agent(paths).map(Pid::as_raw);
    let stopped_supervisor = lock::stopped_supervisor(paths).map(Pid::as_raw);
    AgentReason::Silent { fault, agent, stopped_supervisor }
}

fn not_running(paths: &Paths, user: String) -> AgentReason {
    let start = start_command(paths, &user).to_owned();
    if lock::is_stopped(paths) {
        return unconfigured(paths).unwrap_or(AgentReason::Stopped { user, start });
    }
    let had_agent = lock::noted_socket(paths).is_some();
    match lock::take(paths) {
        Err(LockError::SharedUid(reason)) => return reason,
        Err(LockError::NoDirectory(dir)) => {
            let missing = dir.display().to_string();
            let fault = format!("{missing}, where REGISTRY_AGENT_SOCKET is, does not exist");
            return AgentReason::NoDirectory { user, fault, missing: Some(missing) };
        }
        Err(LockError::Unusable(fault)) => {
            return AgentReason::NoDirectory { user, fault, missing: None };
        }
        Err(LockError::Held(dir)) => {
            let fault = format!("another process holds its lock {}", dir.display());
            return silent(paths, fault);
        }
        Ok(_) => {}
    }
    if let Some(reason) = unconfigured(paths) {
        return reason;
    }
    let log = paths.state_dir().join("agent.log");
    match fs::read_to_string(&log) {
        Ok(text) if had_agent && !text.trim().is_empty() => {
            let last = last_fault(&text).map_or_else(
                || format!("its log {} does not say why", log.display()),
                |line| format!("its log {} ends with: {line}", log.display()),
            );
            AgentReason::Ended { user, last, start }
        }
        _ => AgentReason::NotStarted { user, start },
    }
}

/// Why none can start: a configuration file is invalid.
fn unconfigured(paths: &Paths) -> Option<AgentReason> {
    let error = config_watch::load_within(CONFIG_TIMEOUT, paths.config_files())?.err()?;
    let path = error.path().display().to_string();
    Some(AgentReason::Unconfigured { path, fault: error.to_string() })
}

/// The last line, shortened and printable, if it tells of a fault: any other says only what the agent
/// did before it was killed.
fn last_fault(log: &str) -> Option<String> {
    let line = log.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let json: Option<Value> = serde_json::from_str(line).ok();
    let level = match &json {
        Some(json) => json["level"].as_str()?,
        None => line.split(' ').nth(1)?,
    };
    // What ends a process is printed without a level.
    let is_fault =
        ["WARN", "ERROR", "warn", "error"].contains(&level) || line.starts_with("registry-agent: ");
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    is_fault.then(|| line.chars().take(LINE_SHOWN).map(printable).collect())
}

/// The user who called `sudo`, if this process is root's because of that.
pub(super) fn calling_user(paths: &Paths) -> Option<passwd::User> {
    if paths.uid_outside != 0 {
        return None;
    }
    let uid: u32 = env::var("SUDO_UID").ok()?.parse().ok()?;
    passwd::by_uid(uid).ok().flatten().filter(|user| user.uid != 0)
}

fn has_agent(user: &passwd::User) -> bool {
    AgentClient::connect_to_any(&Paths::of_user(user), REQUEST_TIMEOUT).is_ok()
}

fn under_sudo(paths: &Paths, user: String) -> AgentReason {
    let directory = env::var("DOCKER_CONFIG").ok();
    let config = paths.docker_config_file(directory.as_deref());
    AgentReason::Sudo { user, config: config.display().to_string() }
}

/// The name of a user; `uid N` for one without a name.
fn user_name(paths: &Paths, uid: u32) -> String {
    let uid = if uid == paths.uid { paths.uid_outside } else { uid };
    let known = passwd::by_uid(uid).ok().flatten();
    known.map_or_else(|| format!("uid {uid}"), |user| user.name)
}
