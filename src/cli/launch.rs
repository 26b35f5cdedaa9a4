//! Starting an agent in the background, for `start` and `sync`.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::clock::{self, Clock};
use crate::adapters::config::{self, Config};
use crate::adapters::lock::{self, LockError};
use crate::adapters::paths::Paths;
use crate::adapters::{handoff, process, socket};
use crate::agent::running_agent::{self, Inherited};
use crate::agent::supervisor::ServiceNotifier;
use crate::domain::credentials::secret_json::to_json;
use crate::domain::declarations::other_names::Wanted;
use crate::domain::declarations::source::Variables;
use crate::wire::handoff::{SavedState, UnreadableState, reveal};

/// What the supervisor writes to the pipe of the `start` that waits for it.
const READY_REPORT: &[u8; 5] = b"ready";
/// How long `start` waits for an agent to respond.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes sure that an agent runs, and returns once it has published everything. If none runs, starts
/// one with `environment`, but not after a `stop` if `unless_stopped` is set. Returns whether it
/// started one.
pub fn ensure_running(
    paths: &Paths,
    environment: &Variables,
    unless_stopped: bool,
) -> anyhow::Result<bool> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        // An agent accepts its first connection after it has published, so any response is enough.
        let left = deadline.saturating_duration_since(Instant::now());
        match agent_client::ask(paths, "GET", "/healthz", b"", left) {
            Ok(_) => return Ok(false),
            Err(ClientError::NoAgent | ClientError::NotOurs { .. }) => {}
            Err(ClientError::Broken(_)) if !left.is_zero() => {
                clock::pause(Duration::from_millis(20));
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        match lock::take(paths) {
            Ok(_) if unless_stopped && lock::is_stopped(paths) => bail!("the agent was stopped"),
            Ok(lock) => {
                lock::set_replaceable(paths, unless_stopped)?;
                return launch(paths, lock, environment, left).map(|()| true);
            }
            // Another process is starting it.
            Err(LockError::Held(dir)) => {
                if left.is_zero() {
                    let holder = lock::holder(paths, &dir);
                    bail!("{holder} does not respond; to see why, run `registry-agent check`");
                }
                clock::pause(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Starts an agent of this user, which has the lock now.
fn launch(
    paths: &Paths,
    lock: File,
    environment: &Variables,
    timeout: Duration,
) -> anyhow::Result<()> {
    // Report an error on the terminal: the supervisor could only write it to the log.
    let loaded = config::load(&paths.config_files()).map_err(|error| {
        let path = error.path().display().to_string();
        anyhow!("{error}; correct {path}, then run the command again")
    })?;
    // From here on this process holds the state as well.
    process::harden()?;
    let (socket, listener) = socket::listen(paths)?;
    lock::note_socket(paths, &socket);
    let config = serde_json::to_value(&loaded.config).ok();
    let memfd = state_with(environment, SavedState { config, ..SavedState::default() })?;
    let inherited = Inherited { lock, listener, memfd, previous: None };
    supervise_in_background(paths, inherited, timeout)
}

/// Starts a supervisor with what this process inherited, and waits until its agent has published.
pub(super) fn supervise_in_background(
    paths: &Paths,
    inherited: Inherited,
    timeout: Duration,
) -> anyhow::Result<()> {
    let (mut report, theirs) = io::pipe()?;
    let (mut arguments, queue) = running_agent::arguments("supervise", &inherited)?;
    arguments.push(running_agent::argument("report", theirs.as_fd())?);
    Command::new(process::THIS_PROGRAM)
        .arg0("registry-agent")
        .args(arguments)
        .env_clear()
        .envs(paths.environment())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file(paths).map_or_else(|_| Stdio::null(), Stdio::from))
        .spawn()?;
    drop((theirs, queue, inherited));
    let mut said = [0; READY_REPORT.len()];
    let mut ready = [PollFd::new(report.as_fd(), PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX))?;
    let spoke = ready[0].any().unwrap_or_default();
    if spoke && report.read(&mut said)? == READY_REPORT.len() && said == *READY_REPORT {
        return Ok(());
    }
    let log = paths.state_dir().join("agent.log");
    bail!("the agent did not start; the reason is in {}", log.display())
}

fn log_file(paths: &Paths) -> io::Result<File> {
    let dir = paths.state_dir();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(dir.join("agent.log"))?;
    Ok(file)
}

/// The state `last` with this environment, as a memfd.
pub(super) fn state_with(environment: &Variables, last: SavedState) -> io::Result<OwnedFd> {
    let state = SavedState {
        environment: reveal(environment),
        environment_at: Some(Clock::system().now()),
        ..last
    };
    handoff::create(&to_json(&state)?)
}

/// Parses the state in a memfd. One that cannot be read counts as empty, because the sources restore
/// most of it: `report` is called with the error.
pub(super) fn saved_state(
    memfd: &impl AsFd,
    report: impl FnOnce(UnreadableState),
) -> io::Result<SavedState> {
    let content = handoff::read(memfd.as_fd())?;
    if content.is_empty() {
        return Ok(SavedState::default());
    }
    Ok(SavedState::read(&content).unwrap_or_else(|error| {
        report(error);
        SavedState::default()
    }))
}

/// Logs why a state is lost.
pub(super) fn warn_unreadable(error: UnreadableState) {
    tracing::warn!("{error}");
}

/// The configuration in the state in a memfd. To read the files instead could take forever.
pub(super) fn saved_config(memfd: &impl AsFd) -> io::Result<Config> {
    let config = SavedState::config_of(&handoff::read(memfd.as_fd())?);
    Ok(config.and_then(|config| serde_json::from_value(config).ok()).unwrap_or_default())
}

/// The variables of this process's environment that concern the agent.
pub fn matching_environment() -> Variables {
    let names: Vec<String> =
        env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    let wanted = Wanted::among(names.iter().map(String::as_str));
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| wanted.has(name))
        .map(|(name, value)| {
            // docker resolves it against the directory it is called in, which the agent does not share.
            let value = match std::path::absolute(&value) {
                Ok(path) if name == "DOCKER_CONFIG" => path.to_string_lossy().into_owned(),
                _ => value,
            };
            (name, value.into())
        })
        .collect::<BTreeMap<_, _>>()
}

/// Reports to the `start` that waits at the other end of a pipe.
pub struct StartNotifier(pub Option<File>);

impl ServiceNotifier for StartNotifier {
    fn ready(&mut self) {
        if let Some(mut report) = self.0.take() {
            // `start` may have been interrupted; the agent keeps running.
            let _ = io::Write::write_all(&mut report, READY_REPORT);
        }
    }

    fn state_saved(&mut self, _memfd: BorrowedFd<'_>) {}
}
