//! Keeps the lock and the socket where clients look for them: recreates both if they are removed,
//! for example by a program that cleans up `/tmp`.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tracing::warn;

use super::lock::LockError;
use super::paths::Paths;
use super::takeover::WaitingRun;
use super::{lock, socket, takeover};

/// Where clients find the agent.
pub struct Endpoint {
    paths: Paths,
    socket: PathBuf,
    /// The device and the inode of the socket on which this process listens.
    bound: Option<(u64, u64)>,
    /// Whether `run` may take the agent over.
    replaceable: bool,
    /// Whether this process is a `run`.
    is_service: bool,
    /// `None` if the user has no inotify instance left: then removed files are not recreated.
    inotify: Option<Inotify>,
}

impl Endpoint {
    /// Watches `socket`, on which this process listens, and the lock that it holds. `replaceable` tells
    /// whether `run` may take the agent over, and `is_service` whether this process is a `run`.
    pub fn new(paths: Paths, socket: PathBuf, replaceable: bool, is_service: bool) -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        // A supervisor that was killed right after it recreated the socket leaves one on which
        // nobody listens.
        let bound = socket::has_listener(&socket).then(|| identity(&socket)).flatten();
        let endpoint = Self { paths, socket, bound, replaceable, is_service, inotify };
        endpoint.watch();
        endpoint
    }

    /// The paths of the user.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Whether a `run` holds the lock that clients see.
    pub fn is_held_by_service(&self) -> bool {
        lock::supervisor(&self.paths).is_some_and(lock::is_service)
    }

    /// Readable when a file may have been removed.
    pub fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Discards pending change events.
    pub fn forget_changes(&self) {
        while self.inotify.as_ref().is_some_and(|inotify| inotify.read_events().is_ok()) {}
    }

    /// Recreates what was removed, everything or nothing. Returns whether anything was.
    pub fn restore(
        &mut self,
        held: &mut File,
        listener: &mut UnixListener,
    ) -> Result<bool, LockError> {
        let has_lock = lock::is_in_place(&self.paths, held);
        let has_socket = self.bound.is_some() && identity(&self.socket) == self.bound;
        if has_lock && has_socket {
            return Ok(false);
        }
        let new_lock = if has_lock { None } else { Some(lock::take(&self.paths)?) };
        if !has_socket {
            let unusable = |error: io::Error| LockError::Unusable(error.to_string());
            (self.socket, *listener) = socket::listen(&self.paths).map_err(unusable)?;
            self.bound = identity(&self.socket);
        }
        if let Some(lock) = new_lock {
            *held = lock;
        }
        self.announce();
        self.watch();
        Ok(true)
    }

    /// Notes where the agent is and who supervises it.
    pub fn announce(&self) {
        lock::note_socket(&self.paths, &self.socket);
        lock::note_supervisor(&self.paths);
        if let Err(error) = lock::set_replaceable(&self.paths, self.replaceable) {
            warn!("{error}");
        }
    }

    /// A `run` that waits to take over, unless a user asked the agent to stop.
    pub fn waiting_run(&self) -> WaitingRun {
        if self.is_stopped() {
            return WaitingRun::None;
        }
        match takeover::connect(&self.paths) {
            // No `run` asks a service, so it was not the killed one that asked.
            Ok(WaitingRun::Killed) if self.is_service => WaitingRun::None,
            Ok(waiting) => waiting,
            Err(_) => WaitingRun::None,
        }
    }

    /// Whether a user asked the agent to stop.
    pub fn is_stopped(&self) -> bool {
        lock::is_stopped(&self.paths)
    }

    /// Removes the socket and releases the lock for every process that shares it.
    pub fn release(self, held: &File) -> io::Result<()> {
        // The socket may have been replaced by that of another agent.
        if identity(&self.socket) == self.bound {
            lock::remove_if_there(&self.socket)?;
        }
        held.unlock()
    }

    fn watch(&self) {
        let Some(inotify) = &self.inotify else { return };
        let gone = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        // Removing the name of a socket in use does not delete it: only its link count changes.
        let _ = inotify.add_watch(&self.socket, gone | AddWatchFlags::IN_ATTRIB);
        for dir in self.paths.lock_dirs() {
            let _ = inotify.add_watch(&dir, gone | AddWatchFlags::IN_DELETE);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
