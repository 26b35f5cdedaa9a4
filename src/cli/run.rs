//! `run`: an agent in the foreground, for init systems and containers.

use std::convert::Infallible;
use std::env;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use sd_notify::NotifyState;

use super::launch::{matching_environment, saved_state, state_with};
use super::logging;
use super::stop::{PAUSE, STOP_TIMEOUT, StopRequest};
use super::user::become_configured_user;
use crate::adapters::endpoint::Endpoint;
use crate::adapters::lock::LockError;
use crate::adapters::paths::Paths;
use crate::adapters::takeover::Takeover;
use crate::adapters::{clock, config, lock, process, socket};
use crate::agent::running_agent::{self, Inherited};
use crate::agent::supervisor::{self, ServiceNotifier};
use crate::wire::handoff::{SavedState, conceal};

/// How long the agent of a dead `run` may take to notice it, and a helper to note that it started one.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);
/// Under this name systemd keeps the state of an agent.
const STORED_STATE: &str = "state";

/// What `run` hands to itself when it executes itself anew.
#[derive(Debug, Clone, Copy, Args)]
pub struct StartState {
    /// The state to begin with
    #[arg(long, hide = true)]
    state: Option<RawFd>,
    /// The number under which systemd keeps it
    #[arg(long, hide = true, default_value_t = 0)]
    kept: u64,
}

/// `registry-agent run`
pub fn run(start: StartState) -> anyhow::Result<ExitCode> {
    let paths = become_configured_user()?;
    let Some(state) = start.state else { match leave_environment(&paths)? {} };
    process::set_name(c"registry-agent");
    process::harden()?;
    let state = process::take_inherited(state)?;
    let config = config::load(&paths.config_files())?;
    let Place { lock, listener, socket, memory } = take_place(&paths)?;
    lock::set_stopped(&paths, false)?;
    lock::set_replaceable(&paths, false)?;
    let memory = match memory {
        Some(last) => state_with(&conceal(saved_state(&state)?.environment), saved_state(&last)?)?,
        None => state,
    };
    let notify = env::var_os("NOTIFY_SOCKET").is_some();
    let mut notifier = SystemdNotifier { notify, kept: start.kept };
    let _log = logging::init(&config.log_level, false)?;
    let mut inherited = Inherited { lock, listener, memory };
    let mut endpoint = Endpoint::new(paths, socket);
    let done = supervisor::supervise(&mut inherited, true, None, &mut endpoint, &mut notifier);
    endpoint.release(&inherited.lock)?;
    done?;
    Ok(ExitCode::SUCCESS)
}

/// The place of the only agent.
struct Place {
    lock: File,
    listener: UnixListener,
    socket: PathBuf,
    /// The state of the agent that had the place.
    memory: Option<OwnedFd>,
}

/// Takes the place if it is free, or if an agent has it that a helper started while no service ran.
fn take_place(paths: &Paths) -> anyhow::Result<Place> {
    let begin = Instant::now();
    let mut takeover = None;
    let mut request = StopRequest::default();
    loop {
        match lock::take(paths) {
            Ok(lock) => {
                let (socket, listener) = socket::listen(paths)?;
                lock::note_socket(paths, &socket);
                return Ok(Place { lock, listener, socket, memory: None });
            }
            Err(LockError::Held(_)) => {}
            Err(error) => return Err(error.into()),
        }
        if lock::is_replaceable(paths) {
            if takeover.is_none() {
                takeover = Some(Takeover::listen(paths)?);
            }
            if let Some(handed_over) = takeover.as_ref().map_or(Ok(None), Takeover::receive)? {
                let Inherited { lock, listener, memory } = handed_over.into();
                let socket = listener.local_addr()?;
                let socket = socket.as_pathname().context("the socket has no path")?.to_owned();
                return Ok(Place { lock, listener, socket, memory: Some(memory) });
            }
            request.repeat(paths);
        }
        let patience = if takeover.is_some() { STOP_TIMEOUT } else { ORPHAN_GRACE };
        if begin.elapsed() > patience {
            let pid = lock::supervisor(paths).map(|pid| format!(" (pid {pid})"));
            let pid = pid.unwrap_or_default();
            bail!("an agent is already running{pid}: run `registry-agent stop` first");
        }
        clock::pause(PAUSE);
    }
}

/// Executes this program anew, with the environment in a state and not in `/proc/PID/environ`, where
/// it would stay for as long as the service runs.
fn leave_environment(paths: &Paths) -> anyhow::Result<Infallible> {
    // systemd still has that state under its number, so the numbers go on from there.
    let (kept, last) = match state_from_systemd()? {
        Some((kept, memory)) => (kept, saved_state(&memory)?),
        None => (0, SavedState::default()),
    };
    let state = state_with(&matching_environment(), last)?;
    let state = running_agent::argument("state", state.as_fd())?;
    let arguments = ["run".to_owned(), state, format!("--kept={kept}")];
    process::reexec(&arguments, &paths.environment())
        .context("failed to restart `run` with a clean environment")
}

/// The state that systemd kept of an agent whose whole service died, and its number.
fn state_from_systemd() -> io::Result<Option<(u64, OwnedFd)>> {
    let mut newest: Option<(u64, i32)> = None;
    for (fd, name) in sd_notify::listen_fds_with_names()? {
        let number = name.strip_prefix(STORED_STATE).and_then(|number| number.parse().ok());
        if let Some(number) = number
            && newest.is_none_or(|(newest, _)| newest < number)
        {
            newest = Some((number, fd));
        }
    }
    newest.map(|(number, fd)| Ok((number, process::take_inherited(fd)?))).transpose()
}

/// Tells systemd what it asks of a `Type=notify` service, and gives it the state to keep.
struct SystemdNotifier {
    notify: bool,
    kept: u64,
}

impl ServiceNotifier for SystemdNotifier {
    fn ready(&mut self) {
        if self.notify
            && let Err(error) = sd_notify::notify(&[NotifyState::Ready])
        {
            tracing::warn!("systemd cannot be told: {error}");
        }
    }

    fn state_saved(&mut self, memory: BorrowedFd<'_>) {
        if !self.notify {
            return;
        }
        let (old, new) = (format!("{STORED_STATE}{}", self.kept), self.kept + 1);
        let name = format!("{STORED_STATE}{new}");
        let store = [NotifyState::FdStore, NotifyState::FdName(&name)];
        // The new one is there before the old one goes.
        let kept = sd_notify::notify_with_fds(&store, &[memory]).and_then(|()| {
            sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(&old)])
        });
        match kept {
            Ok(()) => self.kept = new,
            Err(error) => tracing::warn!("systemd cannot keep the state: {error}"),
        }
    }
}
