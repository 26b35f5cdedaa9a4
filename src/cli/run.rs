//! `run`: an agent in the foreground, for init systems and containers.

use std::convert::Infallible;
use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use sd_notify::NotifyState;

use super::launch::{matching_environment, saved_state, state_with};
use super::logging;
use super::output::print_note;
use super::supervision::{MayReplace, Supervision, take_place};
use super::user::become_configured_user;
use crate::adapters::paths::Paths;
use crate::adapters::{config, handoff, lock, process};
use crate::agent::running_agent;
use crate::agent::supervisor::ServiceNotifier;
use crate::wire::handoff::SavedState;

/// The prefix of the name under which systemd stores a state.
const STORED_STATE: &str = "state";

/// What `run` passes to itself when it executes itself again.
#[derive(Debug, Clone, Copy, Args)]
pub struct StartState {
    /// The queue that holds the state to begin with
    #[arg(long, hide = true)]
    state: Option<RawFd>,
    /// The number under which systemd keeps it
    #[arg(long, hide = true, default_value_t = 0)]
    kept: u64,
}

/// `registry-agent run`
pub fn run(start: StartState) -> anyhow::Result<ExitCode> {
    let paths = become_configured_user()?;
    process::harden()?;
    let Some(state) = start.state else { match leave_environment(&paths)? {} };
    process::set_name(c"registry-agent");
    let state = handoff::take_queued(&process::take_inherited(state)?)?;
    let config = config::load(&paths.config_files())?.config;
    let _log = logging::init(&config, false)?;
    let taken = take_place(&paths, &state, MayReplace::Noted, || Ok(false))?;
    let Some(inherited) = taken else { return Ok(ExitCode::SUCCESS) };
    lock::set_stopped(&paths, false)?;
    let notify = env::var_os("NOTIFY_SOCKET").is_some();
    let mut notifier = SystemdNotifier { notify, kept: start.kept };
    let supervision = Supervision { paths: &paths, foreground: true, replaceable: false };
    supervision.run(inherited, None, &mut notifier)
}

/// Executes this program again without the environment, which becomes part of the state:
/// `/proc/PID/environ` would show it for as long as the service runs.
fn leave_environment(paths: &Paths) -> anyhow::Result<Infallible> {
    // systemd still stores that state under its number, so the next state gets the following one.
    let (kept, last) = match state_from_systemd()? {
        Some((kept, memfd)) => (kept, saved_state(&memfd, |error| print_note(&error.to_string()))?),
        None => (0, SavedState::default()),
    };
    let queue = handoff::queue(state_with(&matching_environment(), last)?.as_fd())?;
    let state = running_agent::argument("state", queue.as_fd())?;
    let arguments = ["run".to_owned(), state, format!("--kept={kept}")];
    process::reexec(&arguments, &paths.environment())
        .context("failed to restart `run` with a clean environment")
}

/// The state that systemd stored before all processes of the service died, and its number.
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

/// Tells systemd how the service is (`Type=notify`), and stores each state with it.
struct SystemdNotifier {
    notify: bool,
    kept: u64,
}

impl SystemdNotifier {
    fn send(&self, messages: &[NotifyState<'_>]) {
        if self.notify
            && let Err(error) = sd_notify::notify(messages)
        {
            tracing::warn!("systemd cannot be notified: {error}");
        }
    }
}

impl ServiceNotifier for SystemdNotifier {
    fn ready(&mut self) {
        self.send(&[NotifyState::Ready]);
    }

    fn reloading(&mut self) {
        // systemd ignores an announcement that is older than its request (`Type=notify-reload`).
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!("the reload cannot be announced: {error}"),
        }
    }

    fn stopping(&mut self) {
        self.send(&[NotifyState::Stopping]);
    }

    fn status(&mut self, text: &str) {
        self.send(&[NotifyState::Status(text)]);
    }

    fn state_saved(&mut self, memfd: BorrowedFd<'_>) {
        if !self.notify {
            return;
        }
        let (old, new) = (format!("{STORED_STATE}{}", self.kept), self.kept + 1);
        let name = format!("{STORED_STATE}{new}");
        let store = [NotifyState::FdStore, NotifyState::FdName(&name)];
        // Store the new state before removing the old one.
        let kept = sd_notify::notify_with_fds(&store, &[memfd]).and_then(|()| {
            sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(&old)])
        });
        match kept {
            Ok(()) => self.kept = new,
            Err(error) => tracing::warn!("systemd cannot store the state: {error}"),
        }
    }
}
