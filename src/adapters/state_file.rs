//! Files of the agent in its state directory. Containers that share a home directory share these
//! files, so each change is applied to the current content, under a lock.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::unistd::Uid;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::clock::pause;

/// How long another process may hold the lock. It writes a few kilobytes.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// The time between two attempts to take the lock.
const LOCK_INTERVAL: Duration = Duration::from_millis(5);
/// The first character of temporary file names. The name of the target file follows.
const TEMP_PREFIX: char = '.';
/// Follows the name of the target file.
const TEMP_INFIX: &str = ".new-";

/// A file in the state directory, which may not exist yet.
#[derive(Debug, Clone)]
pub(super) struct StateFile {
    path: PathBuf,
    limit: u64,
}

impl StateFile {
    /// The file `name` in `state_dir`, of at most `limit` bytes.
    pub(super) fn new(state_dir: &Path, name: &str, limit: u64) -> Self {
        Self { path: state_dir.join(name), limit }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Prevents other processes of ours from changing the files of this directory, until the lock
    /// is dropped. `None` if the file system does not support locks.
    ///
    /// # Errors
    /// If another process keeps holding the lock, or the directory cannot be created.
    pub(super) fn lock(&self) -> io::Result<Option<Flock<File>>> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.directory())?;
        lock_directory(self.directory(), LOCK_TIMEOUT).map_err(|Locked| {
            io::Error::new(io::ErrorKind::WouldBlock, "another process keeps it locked")
        })
    }

    /// The content of the file; `None` if it does not exist.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or is not a regular file of the agent's user.
    pub(super) fn read(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let file = match open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let found = file.metadata()?;
        if !found.is_file() || found.uid() != Uid::effective().as_raw() {
            return Err(io::Error::other("it is not a regular file of the agent's user"));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(self.limit + 1).read_to_end(&mut bytes)?;
        self.check_size(&bytes)?;
        Ok(Some(bytes))
    }

    /// Replaces the content of the file, with mode 0600, unless `is_wanted` returns false just
    /// before.
    pub(super) fn replace(&self, bytes: &[u8], is_wanted: &dyn Fn() -> bool) -> io::Result<()> {
        self.check_size(bytes)?;
        let mut file = temporary(&self.path)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        if !is_wanted() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client disconnected"));
        }
        file.persist(&self.path)?;
        self.sync_directory()
    }

    /// Removes the file, which needs no space on a full disk.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.sync_directory(),
        }
    }

    /// Removes temporary files of killed agents. Files of a running agent, in another container
    /// with the same home directory, are locked and stay.
    pub(super) fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.directory()) else { return };
        let prefix = temporary_prefix(&self.path);
        for entry in entries.flatten() {
            let ours = entry.file_name().to_string_lossy().starts_with(&prefix);
            if ours && open(&entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
                // A file that cannot be removed is found again next time.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn check_size(&self, bytes: &[u8]) -> io::Result<()> {
        let mebibytes = self.limit >> 20;
        match bytes.len() as u64 {
            size if size > self.limit => {
                Err(io::Error::other(format!("it would be larger than {mebibytes} MiB")))
            }
            _ => Ok(()),
        }
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn sync_directory(&self) -> io::Result<()> {
        match File::open(self.directory()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            directory => directory?.sync_all(),
        }
    }
}

/// The lock is held by another process of ours.
pub(super) struct Locked;

/// Takes a lock among our own processes. It is on the directory, so that it leaves no file behind
/// and blocks no other program. `None` if the directory does not exist or cannot be locked.
pub(super) fn lock_directory(
    directory: &Path,
    timeout: Duration,
) -> Result<Option<Flock<File>>, Locked> {
    let Ok(mut directory) = File::open(directory) else { return Ok(None) };
    let mut left = timeout;
    loop {
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((_, Errno::EAGAIN)) if left.is_zero() => return Err(Locked),
            Err((back, Errno::EAGAIN)) => directory = back,
            Err(_) => return Ok(None),
        }
        pause(LOCK_INTERVAL);
        left = left.saturating_sub(LOCK_INTERVAL);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Creates a temporary file next to `path`, with mode 0600 from the start. It is locked until it is
/// renamed or dropped.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    // `NamedTempFile`'s errors contain the temporary name, which means nothing to a user.
    let file = NamedTempFile::with_prefix_in(temporary_prefix(path), directory)
        .map_err(|error| io::Error::from(error.kind()))?;
    file.as_file().lock()?;
    Ok(file)
}

fn temporary_prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{TEMP_PREFIX}{name}{TEMP_INFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_of_a_killed_agent_are_removed_and_those_in_use_stay() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "logins.json", 1 << 20);
        fs::write(dir.path().join(".logins.json.new-dead"), "").unwrap();
        fs::write(dir.path().join("agent.log"), "").unwrap();
        let in_use = temporary(file.path()).unwrap();
        file.sweep();
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        left.sort();
        assert_eq!(left, [in_use.path().to_owned(), dir.path().join("agent.log")]);
    }

    #[test]
    fn content_that_is_too_large_to_be_read_again_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "logins.json", 1 << 20);
        assert!(file.replace(&vec![b' '; (1 << 20) + 1], &|| true).is_err());
        assert!(!file.path().exists());
        file.replace(&vec![b' '; 1 << 20], &|| true).unwrap();
        assert_eq!(file.read().unwrap().unwrap().len(), 1 << 20);
    }
}
