//! `run`: an agent in the foreground, for init systems and containers.

use std::env;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::ExitCode;

use sd_notify::NotifyState;

use super::launch::{initial_state, matching_environment};
use super::logging;
use super::user::become_configured_user;
use crate::adapters::endpoint::Endpoint;
use crate::adapters::paths::Paths;
use crate::adapters::{config, lock, process, socket};
use crate::agent::running_agent::Inherited;
use crate::agent::supervisor::{self, ServiceNotifier};

/// Under this name systemd keeps the state of an agent.
const STORED_STATE: &str = "state";

/// `registry-agent run`
pub fn run() -> anyhow::Result<ExitCode> {
    let paths = become_configured_user()?;
    let config = config::load(&paths.config_files())?;
    let left_by_last = state_from_systemd()?;
    let lock = lock::take(&paths)?;
    lock::set_stopped(&paths, false)?;
    let (path, listener) = socket::listen(&paths)?;
    lock::note_socket(&paths, &path)?;
    // systemd still has that state under its number, so the numbers go on from there.
    let (kept, memory) = match left_by_last {
        Some(left) => left,
        None => (0, initial_state(&matching_environment())?),
    };
    let notify = env::var_os("NOTIFY_SOCKET").is_some();
    let mut notifier = SystemdNotifier { notify, kept };
    clear_environment(&paths)?;
    let _log = logging::init(&config.log_level, false)?;
    let mut inherited = Inherited { lock, listener, memory };
    let mut endpoint = Endpoint::new(paths, path)?;
    let done = supervisor::supervise(&mut inherited, true, None, &mut endpoint, &mut notifier);
    endpoint.release(&inherited.lock)?;
    done?;
    Ok(ExitCode::SUCCESS)
}

/// Leaves the environment `run` was started with behind, so that its agents have none of it.
fn clear_environment(paths: &Paths) -> io::Result<()> {
    process::harden()?;
    process::replace_environment(&paths.environment());
    Ok(())
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
