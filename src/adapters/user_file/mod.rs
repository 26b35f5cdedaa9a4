//! A configuration file of the user, which other programs change without locks: reads it, and changes it
//! without losing what they write.

mod location;
mod safe_replace;
mod snapshot;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::Flock;
use zeroize::Zeroizing;

use self::location::Mount;
use self::snapshot::{ATTEMPTS, Snapshot, pause};
use super::permissions;
use super::state_file::{Locked, lock_directory};
use crate::domain::client_files::NewText;
use crate::domain::reasons::PublishReason;

/// How long another process of ours may take to write the file.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// A configuration file of the user, which may not exist yet.
#[derive(Debug)]
pub struct UserFile {
    path: PathBuf,
    to_mounts: bool,
}

/// Reads a file, following links; `None` if it does not exist.
///
/// # Errors
/// If it cannot be read, is larger than 64 MiB, is not UTF-8, or is not a regular file.
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, PublishReason> {
    let shown = path.display().to_string();
    let (_, found) = find(path, &shown)?;
    found.map(|found| Ok(Zeroizing::new(found.text(&shown)?.to_owned()))).transpose()
}

impl UserFile {
    /// The file at `path`. Unless `to_mounts` is set, it is not written if it or its directory is a
    /// separate mount.
    pub fn new(path: impl Into<PathBuf>, to_mounts: bool) -> Self {
        Self { path: path.into(), to_mounts }
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

    /// Makes of the file what `edit` makes of its text (`None` if it does not exist), and returns
    /// whether it changed, and what else `edit` returns. The file is not written if nothing changes,
    /// and concurrent changes by others are not lost: `edit` is called again for them. `announce` is
    /// called before each write. Blocks for at most a fifth of a second while others keep writing.
    ///
    /// # Errors
    /// If `edit` fails, or the file cannot be read or written, or must not be written. The file is
    /// unchanged then.
    pub fn update<T>(
        &self,
        edit: impl Fn(Option<&str>) -> Result<(NewText, T), PublishReason>,
        mut announce: impl FnMut(&T),
    ) -> Result<(bool, T), PublishReason> {
        let shown = self.path.display().to_string();
        let _lock = lock(&self.path, &shown)?;
        for _ in 0..ATTEMPTS {
            let (file, found) = find(&self.path, &shown)?;
            if found.as_ref().is_some_and(Snapshot::is_being_written) {
                pause();
                continue;
            }
            let text = found.as_ref().map(|found| found.text(&shown)).transpose()?;
            let (new, more) = edit(text)?;
            if new == NewText::Same {
                return Ok((false, more));
            }
            let mount = location::mount_of(&file);
            if !self.to_mounts && mount != Mount::Same {
                return Err(PublishReason::Mount { path: shown });
            }
            announce(&more);
            let written = match (&new, &found) {
                (NewText::Same, _) | (NewText::Removed, None) => Ok(true),
                (NewText::Removed, Some(found)) if mount != Mount::File => {
                    safe_replace::remove(&file, found)
                }
                (NewText::Removed, Some(found)) => safe_replace::overwrite(&file, found, b""),
                (NewText::Text(text), Some(found)) if mount == Mount::File => {
                    safe_replace::overwrite(&file, found, text.as_bytes())
                }
                (NewText::Text(text), found) => {
                    safe_replace::replace(&file, found.as_ref(), text.as_bytes())
                }
            };
            if written.map_err(|error| unwritable(&shown, &error))? {
                return Ok((true, more));
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
