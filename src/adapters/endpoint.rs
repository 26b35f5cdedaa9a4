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

use super::paths::Paths;
use super::{lock, socket};

/// The paths where clients find the agent.
pub struct Endpoint {
    paths: Paths,
    socket: PathBuf,
    bound: Option<(u64, u64)>,
    /// Whether `run` may take the agent over.
    replaceable: bool,
    /// `None` if the user has no inotify instance left: then removed files are not recreated.
    inotify: Option<Inotify>,
}

impl Endpoint {
    /// Watches `socket`, on which this process listens, and the lock that it holds.
    pub fn new(paths: Paths, socket: PathBuf) -> Self {
        lock::note_supervisor(&paths);
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        let replaceable = lock::is_replaceable(&paths);
        let endpoint = Self { paths, bound: identity(&socket), replaceable, socket, inotify };
        endpoint.watch();
        endpoint
    }

    /// Readable when a file may have been removed.
    pub fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Discards pending change events.
    pub fn forget_changes(&self) {
        while self.inotify.as_ref().is_some_and(|inotify| inotify.read_events().is_ok()) {}
    }

    /// Recreates what was removed. Returns whether anything was.
    pub fn restore(&mut self, held: &mut File, listener: &mut UnixListener) -> io::Result<bool> {
        let mut restored = false;
        if !lock::is_in_place(&self.paths, held) {
            *held = lock::take(&self.paths).map_err(io::Error::other)?;
            restored = true;
        }
        if self.bound.is_none() || identity(&self.socket) != self.bound {
            (self.socket, *listener) = socket::listen(&self.paths)?;
            self.bound = identity(&self.socket);
            restored = true;
        }
        if restored {
            lock::note_socket(&self.paths, &self.socket);
            lock::note_supervisor(&self.paths);
            if let Err(error) = lock::set_replaceable(&self.paths, self.replaceable) {
                warn!("{error}");
            }
            self.watch();
        }
        Ok(restored)
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
