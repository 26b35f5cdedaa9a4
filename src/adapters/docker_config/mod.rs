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
use zeroize::Zeroizing;

use self::location::Mount;
use self::published_entries::Published;
use self::snapshot::{ATTEMPTS, Snapshot, pause};
use super::permissions;
use super::state_file::{Locked, lock_directory};
use crate::domain::docker_config::{Edit, PublishedEntries, Wanted, edit, keys_with_our_helper};
use crate::domain::reasons::PublishReason;

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
    let shown = path.display().to_string();
    let (_, found) = find(path, &shown)?;
    found.map(|found| Ok(Zeroizing::new(found.text(&shown)?.to_owned()))).transpose()
}

/// The configuration files that contain our entries, according to the record in `state_dir`.
pub fn recorded(state_dir: &Path) -> Vec<PathBuf> {
    published_entries::recorded(state_dir)
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
        self.write(wanted, &before).inspect_err(|_| self.published.set(before))
    }

    /// Removes all our entries, also those that the record has lost. Returns whether there were any.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub fn withdraw(&mut self) -> Result<bool, PublishReason> {
        let text = read(&self.path)?.unwrap_or_default();
        let helpers = keys_with_our_helper(&text);
        let before = self.published.ours().clone();
        let found = before.clone().or(&PublishedEntries { helpers, ..PublishedEntries::default() });
        let written = self.write(&Wanted::default(), &found);
        Ok(written.inspect_err(|_| self.published.set(before))?.changed)
    }

    fn write(
        &mut self,
        wanted: &Wanted,
        before: &PublishedEntries,
    ) -> Result<PublishOutcome, PublishReason> {
        let shown = self.path.display().to_string();
        let _lock = lock(&self.path, &shown)?;
        for _ in 0..ATTEMPTS {
            let (file, found) = find(&self.path, &shown)?;
            if found.as_ref().is_some_and(Snapshot::is_being_written) {
                pause();
                continue;
            }
            let text = found.as_ref().map_or(Ok(""), |found| found.text(&shown))?;
            let Edit { text, repaired, conflicts, ours } = edit(&shown, text, wanted, before)?;
            let mut outcome = PublishOutcome { changed: false, repaired, conflicts };
            let Some(text) = text.map(Zeroizing::new) else {
                self.published.set(ours);
                return Ok(outcome);
            };
            let mount = location::mount_of(&file);
            if !self.to_mounts && mount != Mount::Same {
                return Err(PublishReason::Mount { path: shown });
            }
            self.published.announce(&ours);
            let replaced = match &found {
                Some(found) if mount == Mount::File => {
                    safe_replace::overwrite(&file, found, text.as_bytes())
                }
                _ => safe_replace::replace(&file, found.as_ref(), text.as_bytes()),
            };
            if replaced.map_err(|error| unwritable(&shown, &error))? {
                self.published.set(ours);
                outcome.changed = true;
                return Ok(outcome);
            }
            pause();
        }
        Err(PublishReason::Busy { path: shown })
    }
}

/// Locks out other processes of ours, and restores or removes what a killed one left. The lock is on
/// the directory, so it leaves no file behind and blocks no other program. If the directory does not
/// exist or cannot be locked, our processes are protected from each other only as well as from
/// other programs.
fn lock(path: &Path, shown: &str) -> Result<Option<Flock<File>>, PublishReason> {
    let Ok(file) = location::resolve(path) else { return Ok(None) };
    let Some(directory) = file.parent() else { return Ok(None) };
    let lock = lock_directory(directory, LOCK_TIMEOUT)
        .map_err(|Locked| PublishReason::Busy { path: shown.to_owned() })?;
    if lock.is_some() {
        safe_replace::sweep(&file);
    }
    Ok(lock)
}

/// The file that a path leads to, and its content.
fn find(path: &Path, shown: &str) -> Result<(PathBuf, Option<Snapshot>), PublishReason> {
    let file = location::resolve(path).map_err(|error| snapshot::unreadable(shown, &error))?;
    let found = snapshot::read(&file, shown)?;
    Ok((file, found))
}

fn unwritable(shown: &str, error: &io::Error) -> PublishReason {
    let (path, fault) = (shown.to_owned(), error.to_string());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => PublishReason::NoRoom { path, fault },
        ErrorKind::ResourceBusy => PublishReason::Mount { path },
        _ => {
            let remedy = permissions::to_replace(Path::new(shown));
            PublishReason::Unwritable { path, fault, remedy }
        }
    }
}
