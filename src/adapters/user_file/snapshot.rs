//! Reads a complete snapshot of a user's file while other programs may write it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use nix::libc;
use zeroize::Zeroizing;

use crate::adapters::clock;
use crate::adapters::permissions;
use crate::adapters::process::{has_writer, stop_waiting};
use crate::domain::reasons::PublishReason;

/// The maximum number of attempts when other writers interfere.
pub(super) const ATTEMPTS: u32 = 40;

/// The maximum size of the file. Real ones have a few kilobytes.
const LIMIT_MEBIBYTES: u64 = 64;

/// The pause between attempts. An editor saves a file in less time.
const PAUSE: Duration = Duration::from_millis(5);

/// The content and identity of a file at the time it was read.
pub(super) struct Snapshot {
    pub(super) file: File,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Reads a file without following a link; `None` if it does not exist. Reasons call it `shown`.
pub(super) fn read(path: &Path, shown: &str) -> Result<Option<Snapshot>, PublishReason> {
    let unreadable = |error| unreadable(shown, &error);
    // Check before opening: opening a device or a pipe may have effects.
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(PublishReason::NotAFile { path: shown.to_owned(), in_the_way: None });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    }
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut opened = options.open(path);
    for _ in 0..ATTEMPTS {
        // Another process of ours keeps the file closed to others until it has checked it.
        if !opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            break;
        }
        pause();
        opened = options.open(path);
    }
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(unreadable)?,
    };
    let (mebibytes, limit) = (LIMIT_MEBIBYTES, LIMIT_MEBIBYTES << 20);
    let bytes = content(&file, limit).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(PublishReason::TooLarge { path: shown.to_owned(), mebibytes });
    }
    Ok(Some(Snapshot { file, bytes }))
}

/// Why the file called `shown` could not be found or read.
pub(super) fn unreadable(shown: &str, error: &io::Error) -> PublishReason {
    let path = shown.to_owned();
    if let Some(libc::ELOOP | libc::ENOTDIR) = error.raw_os_error() {
        return PublishReason::NotAFile { path, in_the_way: in_the_way_of(Path::new(shown)) };
    }
    let remedy = permissions::to_replace(Path::new(shown));
    PublishReason::Unreadable { path, fault: error.to_string(), remedy }
}

/// The highest directory of `path` that is none, or only a chain of links without end.
fn in_the_way_of(path: &Path) -> Option<String> {
    let mut directories: Vec<&Path> = path.ancestors().skip(1).collect();
    directories.reverse();
    let is_none = |directory: &&Path| match fs::metadata(directory) {
        Ok(found) => !found.is_dir(),
        Err(error) => error.raw_os_error() == Some(libc::ELOOP),
    };
    directories.into_iter().find(is_none).map(|found| found.display().to_string())
}

impl Snapshot {
    pub(super) fn text(&self, shown: &str) -> Result<&str, PublishReason> {
        std::str::from_utf8(&self.bytes).map_err(|error| PublishReason::Malformed {
            path: shown.to_owned(),
            fault: format!("is not UTF-8 (byte {})", error.valid_up_to() + 1),
        })
    }

    /// Whether another process is writing the file in place, so that it may be incomplete.
    pub(super) fn is_being_written(&self) -> bool {
        let seen = has_writer(&self.file);
        // Release the lease: a process that waited for it would write to this file after it was
        // replaced.
        stop_waiting(&self.file);
        seen.unwrap_or_default()
    }

    /// Whether `path` is still the same file, unchanged and not being written.
    pub(super) fn is_still_at(&self, path: &Path) -> io::Result<bool> {
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        Ok(identity(&found) == identity(&self.file.metadata()?)
            && self.is_unchanged()?
            && !self.is_being_written())
    }

    pub(super) fn is_unchanged(&self) -> io::Result<bool> {
        (&self.file).rewind()?;
        Ok(content(&self.file, self.bytes.len() as u64)? == self.bytes)
    }
}

/// Reads at most one byte more than `limit`.
pub(super) fn content(file: &File, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let size = file.metadata()?.len().min(limit);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Gives another program time to finish, because nothing reports the end of its save.
pub(super) fn pause() {
    clock::pause(PAUSE);
}
