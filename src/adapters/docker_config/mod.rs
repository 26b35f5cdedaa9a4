//! Reads and writes the docker configuration file, which other programs change without locks.

mod location;
mod published_entries;
mod safe_replace;
mod snapshot;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::Flock;
use nix::libc;
use zeroize::Zeroizing;

use self::location::Mount;
use self::published_entries::Published;
use self::safe_replace::Replaced;
use self::snapshot::{ATTEMPTS, ReadFault, Snapshot, pause};
use super::state_file::{Locked, lock_directory};
use crate::domain::docker_config::{Edit, Wanted, edit};
use crate::domain::reasons::PublishReason;

/// The maximum size of the file. Real ones have a few kilobytes.
const LIMIT_MEBIBYTES: u64 = 64;
/// How long another process of ours may take to write the file.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// A user's docker configuration, which may not exist yet, and our entries in it.
#[derive(Debug)]
pub struct DockerConfig {
    path: PathBuf,
    to_mounts: bool,
    published: Published,
}

/// The result of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOutcome {
    /// Whether the file was written.
    pub changed: bool,
    /// Our keys that another program had removed.
    pub repaired: Vec<String>,
    /// Existing entries that block ours and that we must not change.
    pub conflicts: Vec<PublishReason>,
}

/// Reads a configuration file, following links; `None` if it does not exist.
///
/// # Errors
/// If it cannot be read, is larger than 64 MiB, is not UTF-8, or is not a regular file.
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, PublishReason> {
    let found = ConfigLocation(path).snapshot()?.1;
    found.map(|found| Ok(Zeroizing::new(ConfigLocation(path).text(&found)?.to_owned()))).transpose()
}

impl DockerConfig {
    /// The configuration at `path`. Unless `to_mounts` is set, it is not written if it or its
    /// directory is a separate mount. `state_dir` holds the record of our entries.
    pub fn new(path: impl Into<PathBuf>, to_mounts: bool, state_dir: &Path) -> Self {
        let path = path.into();
        let published = Published::open(state_dir, &path);
        Self { path, to_mounts, published }
    }

    /// The path, with links not followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The paths to watch in order to see every change: the path, the links on the way, and the
    /// file itself. They change when a link does.
    pub fn paths_to_watch(&self) -> Vec<PathBuf> {
        location::symlink_chain(&self.path)
    }

    /// Updates our entries in the file to `wanted`. All other bytes stay the same, the file is not
    /// written if nothing changes, and concurrent changes by others are not lost. Blocks for at
    /// most a fifth of a second while others keep writing.
    ///
    /// # Errors
    /// If the file cannot be parsed, read or written, or must not be written. The file is unchanged
    /// then.
    pub fn publish(&mut self, wanted: &Wanted) -> Result<PublishOutcome, PublishReason> {
        let before = self.published.ours().clone();
        let written =
            write(ConfigLocation(&self.path), self.to_mounts, &mut self.published, wanted);
        if written.is_err() {
            self.published.set(before);
        }
        written
    }
}

fn write(
    location: ConfigLocation<'_>,
    to_mounts: bool,
    published: &mut Published,
    wanted: &Wanted,
) -> Result<PublishOutcome, PublishReason> {
    let before = published.ours().clone();
    let _lock = location.lock()?;
    for _ in 0..ATTEMPTS {
        let (file, found) = location.snapshot()?;
        if found.as_ref().is_some_and(Snapshot::is_being_written) {
            pause();
            continue;
        }
        let text = found.as_ref().map_or(Ok(""), |found| location.text(found))?;
        let Edit { text, repaired, conflicts, ours } =
            edit(&location.shown(), text, wanted, &before)?;
        let Some(text) = text.map(Zeroizing::new) else {
            published.set(ours);
            return Ok(PublishOutcome { changed: false, repaired, conflicts });
        };
        let mount = location::mount_of(&file);
        if !to_mounts && mount != Mount::Same {
            return Err(PublishReason::Mount { path: location.shown() });
        }
        published.announce(&ours);
        let replaced = match &found {
            Some(found) if mount == Mount::File => {
                safe_replace::overwrite(&file, found, text.as_bytes())
            }
            _ => safe_replace::replace(&file, found.as_ref(), text.as_bytes()),
        };
        match replaced {
            Ok(Replaced::Done) => {
                published.set(ours);
                return Ok(PublishOutcome { changed: true, repaired, conflicts });
            }
            Ok(Replaced::Overtaken) => pause(),
            Err(error) => return Err(location.unwritable(&error)),
        }
    }
    Err(location.busy())
}

/// A path as the user knows it, for reasons.
#[derive(Clone, Copy)]
struct ConfigLocation<'a>(&'a Path);

impl ConfigLocation<'_> {
    /// Locks out other processes of ours, and removes what a killed one left. The lock is on the
    /// directory, so it leaves no file behind and blocks no other program. If the directory does
    /// not exist or cannot be locked, our processes are protected from each other only as well as
    /// from other programs.
    fn lock(&self) -> Result<Option<Flock<File>>, PublishReason> {
        let Ok(file) = location::resolve(self.0) else { return Ok(None) };
        let Some(directory) = file.parent() else { return Ok(None) };
        let lock = lock_directory(directory, LOCK_TIMEOUT).map_err(|Locked| self.busy())?;
        if lock.is_some() {
            safe_replace::sweep(&file);
        }
        Ok(lock)
    }

    /// The file that the path leads to, and its content.
    fn snapshot(&self) -> Result<(PathBuf, Option<Snapshot>), PublishReason> {
        let mebibytes = LIMIT_MEBIBYTES;
        let file = location::resolve(self.0).map_err(|error| self.unreadable(&error))?;
        let found =
            snapshot::read(&file, mebibytes * 1024 * 1024).map_err(|fault| match fault {
                ReadFault::NotAFile => PublishReason::NotAFile { path: self.shown() },
                ReadFault::TooLarge => PublishReason::TooLarge { path: self.shown(), mebibytes },
                ReadFault::Io(error) => self.unreadable(&error),
            })?;
        Ok((file, found))
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
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                PublishReason::NoRoom { path, fault }
            }
            ErrorKind::ResourceBusy => PublishReason::Mount { path },
            _ => PublishReason::Unwritable { path, fault },
        }
    }

    fn busy(&self) -> PublishReason {
        PublishReason::Busy { path: self.shown() }
    }

    fn shown(&self) -> String {
        self.0.display().to_string()
    }
}
