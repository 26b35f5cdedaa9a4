//! The docker configuration as a file: read and written beside programs that take no lock.

mod place;
mod swap;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::poll::{PollTimeout, poll};
use zeroize::Zeroizing;

use self::swap::{ReadFault, Snapshot, Swapped};
use crate::domain::docker_config::{Edit, Ours, Wanted, edit};
use crate::domain::reason::PublishReason;

/// The largest file that is read: a configuration has kilobytes.
const LIMIT_MEBIBYTES: u64 = 64;

/// How often a write starts over because another writer came first.
const ATTEMPTS: u32 = 40;

/// The pause before a write starts over. An editor's save takes less.
const PAUSE: Duration = Duration::from_millis(5);

/// A user's docker configuration, which need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerConfig {
    path: PathBuf,
    to_mounts: bool,
}

/// What came of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the file was written.
    pub changed: bool,
    /// The keys that were ours and had been dropped by somebody else.
    pub repaired: Vec<String>,
    /// What stands in our way and is not ours to change.
    pub conflicts: Vec<PublishReason>,
    /// What is ours in the file now, to be handed to the next call.
    pub ours: Ours,
}

impl DockerConfig {
    /// The configuration at `path`. Unless `to_mounts`, it is not written when it or its directory
    /// is a mount of its own.
    pub fn new(path: impl Into<PathBuf>, to_mounts: bool) -> Self {
        Self { path: path.into(), to_mounts }
    }

    /// Its path, links not followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What must be watched to see every change of it: the path, the links it leads through, and the
    /// file itself. They change when a link does.
    pub fn paths_to_watch(&self) -> Vec<PathBuf> {
        place::stations(&self.path)
    }

    /// The text of the file; `None` when it is not there.
    pub fn read(&self) -> Result<Option<Zeroizing<String>>, PublishReason> {
        let file = place::resolve(&self.path).map_err(|error| self.unreadable(&error))?;
        let found = self.snapshot(&file)?;
        found.map(|found| Ok(Zeroizing::new(self.text(&found)?.to_owned()))).transpose()
    }

    /// Makes the file hold what is `wanted` of ours and nothing else of `ours`, which is what the
    /// last call returned. Every other byte stays. Nothing is written when nothing changes; what
    /// others write meanwhile is never lost. Blocks, for a fifth of a second at most while others
    /// keep writing.
    ///
    /// # Errors
    /// When the file cannot be understood, read or written, or must not be. It is as it was then.
    pub fn publish(&self, wanted: &Wanted, ours: &Ours) -> Result<Outcome, PublishReason> {
        let _lock = self.lock()?;
        for _ in 0..ATTEMPTS {
            let file = place::resolve(&self.path).map_err(|error| self.unreadable(&error))?;
            let found = self.snapshot(&file)?;
            if found.as_ref().is_some_and(Snapshot::is_being_written) {
                pause();
                continue;
            }
            let text = found.as_ref().map_or(Ok(""), |found| self.text(found))?;
            let Edit { text, repaired, conflicts, ours } = edit(&self.shown(), text, wanted, ours)?;
            let Some(text) = text.map(Zeroizing::new) else {
                return Ok(Outcome { changed: false, repaired, conflicts, ours });
            };
            if !self.to_mounts && place::is_mount(&file) {
                return Err(PublishReason::Mount { path: self.shown() });
            }
            match swap::replace(&file, found.as_ref(), text.as_bytes()) {
                Ok(Swapped::Done) => {
                    return Ok(Outcome { changed: true, repaired, conflicts, ours });
                }
                Ok(Swapped::Overtaken) => pause(),
                Err(error) => return Err(self.unwritable(&error)),
            }
        }
        Err(self.busy())
    }

    /// Keeps other processes of ours away, and takes away what a killed one left. The lock is on the
    /// directory, where it leaves no file behind and is in nobody's way; where there is no directory
    /// yet, or none that can be locked, two of ours are merely as safe from each other as others are.
    fn lock(&self) -> Result<Option<Flock<File>>, PublishReason> {
        let Ok(file) = place::resolve(&self.path) else { return Ok(None) };
        let Some(Ok(mut directory)) = file.parent().map(File::open) else { return Ok(None) };
        for _ in 0..ATTEMPTS {
            match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => {
                    swap::sweep(&file);
                    return Ok(Some(lock));
                }
                Err((back, Errno::EAGAIN)) => directory = back,
                Err(_) => return Ok(None),
            }
            pause();
        }
        Err(self.busy())
    }

    fn snapshot(&self, file: &Path) -> Result<Option<Snapshot>, PublishReason> {
        let mebibytes = LIMIT_MEBIBYTES;
        swap::read(file, mebibytes * 1024 * 1024).map_err(|fault| match fault {
            ReadFault::NotAFile => PublishReason::NotAFile { path: self.shown() },
            ReadFault::TooLarge => PublishReason::TooLarge { path: self.shown(), mebibytes },
            ReadFault::Io(error) => self.unreadable(&error),
        })
    }

    fn text<'s>(&self, found: &'s Snapshot) -> Result<&'s str, PublishReason> {
        std::str::from_utf8(&found.bytes).map_err(|error| PublishReason::Malformed {
            path: self.shown(),
            fault: format!("not UTF-8 at byte {}", error.valid_up_to() + 1),
        })
    }

    fn unreadable(&self, error: &io::Error) -> PublishReason {
        let path = self.shown();
        match error.raw_os_error() {
            Some(libc::ELOOP | libc::ENOTDIR) => PublishReason::NotAFile { path },
            _ => PublishReason::Unreadable { path, fault: error.to_string() },
        }
    }

    fn unwritable(&self, error: &io::Error) -> PublishReason {
        let (path, fault) = (self.shown(), error.to_string());
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => PublishReason::NoRoom { path, fault },
            Some(libc::EBUSY) => PublishReason::Mount { path },
            _ => PublishReason::Unwritable { path, fault },
        }
    }

    fn busy(&self) -> PublishReason {
        PublishReason::Busy { path: self.shown() }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

/// A pause of the calling thread: nothing tells when a stranger's save has ended for good.
fn pause() {
    let timeout = PollTimeout::try_from(PAUSE).unwrap_or(PollTimeout::ZERO);
    // Cut short by a signal, it is a shorter pause.
    let _ = poll(&mut [], timeout);
}
