//! How a process becomes the only supervisor of its user and container, and how it stops being it.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::launch::{saved_state, state_with};
use super::stop::{PAUSE, STOP_TIMEOUT, StopRequest};
use crate::adapters::endpoint::Endpoint;
use crate::adapters::lock::{self, LockError};
use crate::adapters::paths::Paths;
use crate::adapters::takeover::Takeover;
use crate::adapters::{clock, socket};
use crate::agent::running_agent::{Inherited, RunningAgent};
use crate::agent::supervisor::{self, ServiceNotifier, SupervisorExit};
use crate::wire::handoff::{SavedState, conceal};

/// How long a helper may take to note that it started the agent that holds the lock, and the agent of
/// a dead supervisor to note that it has taken its place.
const NOTE_GRACE: Duration = Duration::from_secs(1);

/// Supervises agents until one stops or is handed over. The first is `adopted`, if there is one.
pub(super) fn supervise(
    paths: &Paths,
    mut inherited: Inherited,
    foreground: bool,
    mut adopted: Option<RunningAgent>,
    notifier: &mut impl ServiceNotifier,
) -> anyhow::Result<ExitCode> {
    loop {
        let socket = inherited.listener.local_addr()?;
        let socket = socket.as_pathname().context("the socket has no path")?.to_owned();
        let mut endpoint = Endpoint::new(paths.clone(), socket);
        let (first, end) = (adopted.take(), &mut endpoint);
        let exit = supervisor::supervise(&mut inherited, foreground, first, end, notifier);
        match exit {
            Ok(SupervisorExit::HandedOver) => return Ok(ExitCode::SUCCESS),
            Ok(SupervisorExit::Displaced) => {
                tracing::warn!("the lock was removed and another agent started; taking it over");
                let is_replaceable = endpoint.is_replaceable();
                // Nobody would have started it if the lock had stayed.
                lock::set_replaceable(paths, true)?;
                inherited = take_place(paths, &inherited.memory)?;
                lock::set_replaceable(paths, is_replaceable)?;
            }
            other => {
                endpoint.release(&inherited.lock)?;
                other?;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// Takes the lock if it is free, or takes over an agent that may be replaced: a helper started it
/// while no service ran, or a killed `run` left it. `own` is the state to begin with.
pub(super) fn take_place(paths: &Paths, own: &OwnedFd) -> anyhow::Result<Inherited> {
    let begin = Instant::now();
    let mut takeover = None;
    let mut request = StopRequest::default();
    loop {
        match lock::take(paths) {
            Ok(lock) => {
                let (socket, listener) = socket::listen(paths)?;
                lock::note_socket(paths, &socket);
                return Ok(Inherited { lock, listener, memory: own.try_clone()?, previous: None });
            }
            Err(LockError::Held(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let supervisor = lock::supervisor(paths);
        let is_service = supervisor.is_some_and(lock::is_service);
        let may_replace = lock::is_replaceable(paths) && !is_service;
        if may_replace {
            let takeover = match &mut takeover {
                Some(takeover) => takeover,
                none => none.insert(Takeover::listen(paths)?),
            };
            if let Some((all, previous)) = takeover.receive()? {
                return Ok(Inherited {
                    lock: all.lock.into(),
                    listener: all.listener.into(),
                    memory: merged(saved_state(own)?, saved_state(&all.memory)?)?,
                    previous: Some(previous),
                });
            }
            if takeover.is_connected() {
                // If the connection breaks, the next supervisor has to be asked.
                request = StopRequest::default();
            } else if supervisor.is_some() || begin.elapsed() > NOTE_GRACE {
                request.repeat(paths);
            }
        }
        // The agent of a killed `run` is about to take its place and may then be taken over.
        let patience = if may_replace || supervisor.is_none() { STOP_TIMEOUT } else { NOTE_GRACE };
        if begin.elapsed() > patience {
            let pid = supervisor.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            bail!("an agent is already running{pid}: run `registry-agent stop` first");
        }
        clock::pause(PAUSE);
    }
}

/// The state of an agent that was taken over, with the environment and the tokens of this process.
/// The agent may know less: a helper starts one without anything pushed.
fn merged(own: SavedState, mut last: SavedState) -> io::Result<OwnedFd> {
    if own.pushed_at > last.pushed_at {
        (last.pushed, last.pushed_at) = (own.pushed, own.pushed_at);
    }
    let (mut tokens, mut logins) = (own.tokens, own.logins);
    tokens.append(&mut last.tokens);
    logins.append(&mut last.logins);
    let environment = conceal(own.environment);
    state_with(&environment, SavedState { logins, tokens, ..last })
}
