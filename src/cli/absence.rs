//! Why no agent serves the calling user, and what to do about it.

use std::env;
use std::fs;
use std::time::Duration;

use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use thiserror::Error;

use super::output::{REQUEST_TIMEOUT, how_to_start};
use super::service::start_command;
use crate::adapters::agent_client::{AgentClient, ClientError};
use crate::adapters::lock::{self, LockError};
use crate::adapters::paths::Paths;
use crate::adapters::{ownership, passwd};
use crate::agent::config_watch;
use crate::domain::reasons::AgentReason;

/// How long to wait for the configuration, whose file system may hang.
const CONFIG_TIMEOUT: Duration = Duration::from_millis(500);
/// The most of a log line that is shown, in characters.
const LINE_SHOWN: usize = 200;

/// Why no agent serves the calling user, with the fix.
#[derive(Debug, Error)]
#[error("{reason}; {}", .reason.fix())]
pub struct Absence {
    /// The reason.
    pub reason: AgentReason,
}

/// The message of a failed command, with the fix where no agent serves the calling user.
pub fn explained(paths: &Paths, error: &anyhow::Error) -> String {
    let reason = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(ClientError::NotOurs { socket, uid }), _) => {
            Some(foreign(paths, &socket.display().to_string(), *uid))
        }
        (Some(ClientError::NoAgent), _) => obstacle(paths),
        (
            Some(
                error @ (ClientError::TimedOut | ClientError::Garbled(_) | ClientError::Broken(_)),
            ),
            _,
        ) => {
            return format!("{error:#}; {}", silent(paths, error.to_string()).fix());
        }
        (_, Some(LockError::Unusable(fault))) => Some(without_lock(paths, fault)),
        _ => None,
    };
    match (reason, error.downcast_ref()) {
        (Some(reason), _) => Absence { reason }.to_string(),
        (None, Some(ClientError::NoAgent)) => format!("{error:#}; {}", how_to_start(paths)),
        (None, _) => format!("{error:#}"),
    }
}

/// Set if the only agent that answers belongs to another user.
pub fn of_another_user(paths: &Paths) -> Option<Absence> {
    match AgentClient::connect(paths, REQUEST_TIMEOUT) {
        Err(ClientError::NotOurs { socket, uid }) => {
            Some(Absence { reason: foreign(paths, &socket.display().to_string(), uid) })
        }
        _ => None,
    }
}

/// Set if the command runs under `sudo`, and only the calling user has an agent.
pub fn of_sudo(paths: &Paths) -> Option<Absence> {
    let caller = calling_user(paths)?;
    let has_none = AgentClient::connect(paths, REQUEST_TIMEOUT).is_err() && has_agent(&caller);
    has_none.then(|| Absence { reason: under_sudo(paths, caller.name) })
}

/// What keeps an agent from being started, or makes another user's the one to use.
fn obstacle(paths: &Paths) -> Option<AgentReason> {
    if calling_user(paths).is_some() {
        return Some(why_none(paths));
    }
    if let Err(LockError::Unusable(fault)) = lock::try_out(paths) {
        return Some(without_lock(paths, &fault));
    }
    unconfigured(paths)
}

/// Why there is no lock: where another user's agent has the socket, that is the reason.
fn without_lock(paths: &Paths, fault: &str) -> AgentReason {
    match AgentClient::connect(paths, REQUEST_TIMEOUT) {
        Err(ClientError::NotOurs { socket, uid }) if paths.has_own_socket() => {
            foreign(paths, &socket.display().to_string(), uid)
        }
        _ => {
            let user = user_name(paths, paths.uid);
            AgentReason::NoDirectory { user, fault: fault.to_owned(), missing: None }
        }
    }
}

/// Why no agent listens.
pub(super) fn why_none(paths: &Paths) -> AgentReason {
    match calling_user(paths) {
        Some(caller) if has_agent(&caller) => under_sudo(paths, caller.name),
        // What is missing is the agent of the user who called `sudo`.
        Some(caller) => not_running(&Paths::of_user(&caller), caller.name),
        None => not_running(paths, user_name(paths, paths.uid)),
    }
}

/// Why the agent that listens is of no use.
pub(super) fn why_not(paths: &Paths, error: ClientError) -> AgentReason {
    match error {
        ClientError::NotOurs { socket, uid } => foreign(paths, &socket.display().to_string(), uid),
        ClientError::SharedUid(reason) => *reason,
        error => silent(paths, error.to_string()),
    }
}

fn foreign(paths: &Paths, socket: &str, uid: u32) -> AgentReason {
    match calling_user(paths) {
        Some(caller) if caller.uid == uid => under_sudo(paths, caller.name),
        _ => AgentReason::Foreign {
            socket: socket.to_owned(),
            owner: user_name(paths, uid),
            user: user_name(paths, paths.uid),
        },
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
    // Root would own a directory that it creates for the caller of `sudo`, who could not use it then.
    let lock = (paths.uid == geteuid().as_raw()).then(|| lock::try_out(paths)).transpose();
    match lock {
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
    AgentClient::connect_to_user(user, REQUEST_TIMEOUT).is_ok()
}

fn under_sudo(paths: &Paths, user: String) -> AgentReason {
    let directory = env::var("DOCKER_CONFIG").ok();
    let config = paths.docker_config_file(directory.as_deref());
    AgentReason::Sudo { user, config: config.display().to_string() }
}

/// The name of a user; `uid N` for one without a name.
pub(super) fn user_name(paths: &Paths, uid: u32) -> String {
    let uid = if uid == paths.uid { paths.uid_outside } else { uid };
    ownership::name_of(uid)
}
