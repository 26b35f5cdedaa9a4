//! Reads a complete snapshot of a user's file while other programs may write it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use nix::libc;
use zeroize::Zeroizing;

use crate::adapters::clock;
use crate::adapters::process::{has_writer, stop_waiting};

/// The maximum number of attempts when other writers interfere.
pub(super) const ATTEMPTS: u32 = 40;

/// The pause between attempts. An editor saves a file in less time.
const PAUSE: Duration = Duration::from_millis(5);

/// The content and identity of a file at the time it was read.
pub(super) struct Snapshot {
    pub(super) file: File,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Why a file could not be read.
pub(super) enum ReadFault {
    /// It is a directory, a pipe or a device.
    NotAFile,
    /// It is larger than the limit.
    TooLarge,
    Io(io::Error),
}

impl From<io::Error> for ReadFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a file without following a link; `None` if it does not exist.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Snapshot>, ReadFault> {
    // Check before opening: opening a device or a pipe may have effects.
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(ReadFault::NotAFile),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
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
        opened => opened?,
    };
    let bytes = content(&file, limit)?;
    if bytes.len() as u64 > limit {
        return Err(ReadFault::TooLarge);
    }
    Ok(Some(Snapshot { file, bytes }))
}

impl Snapshot {
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
        Ok(identity(&fs::symlink_metadata(path)?) == identity(&self.file.metadata()?)
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
