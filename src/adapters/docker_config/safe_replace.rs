//! A file of somebody's, read whole and replaced whole, without losing what others write meanwhile.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{
    DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown,
};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, posix_fallocate, renameat2};
use nix::libc;
use nix::poll::{PollTimeout, poll};
use tempfile::{NamedTempFile, TempPath};
use zeroize::Zeroizing;

use crate::adapters::process::{has_writer, keep_closed_to_others, stop_waiting};

/// How often something is tried again because another writer came first.
pub(super) const ATTEMPTS: u32 = 40;

/// The pause before that. An editor's save takes less.
const PAUSE: Duration = Duration::from_millis(5);

/// A file as it was when it was read.
pub(super) struct Snapshot {
    file: File,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Why there is no snapshot.
pub(super) enum ReadFault {
    /// A directory, a pipe, a device.
    NotAFile,
    /// More bytes than the limit.
    TooLarge,
    Io(io::Error),
}

/// What came of a replacement.
pub(super) enum Replaced {
    /// The new content is in place, and what it took the place of is what had been read.
    Done,
    /// Somebody else wrote; what they wrote is in place.
    Overtaken,
}

impl From<io::Error> for ReadFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a file that follows no link; `None` when it is not there.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Snapshot>, ReadFault> {
    // Looked at before it is opened: opening a device or a pipe does something already.
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
        // Another process of ours keeps it closed until it is sure of it.
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
    /// Whether somebody is writing the file in place, so that it may be half of what it will be.
    pub(super) fn is_being_written(&self) -> bool {
        let seen = has_writer(&self.file);
        // Not held: who waited to write this file would go on with it after it was replaced.
        stop_waiting(&self.file);
        seen.unwrap_or_default()
    }

    /// Whether `path` is this very file, as it was, and nobody is at it.
    fn is_still_at(&self, path: &Path) -> io::Result<bool> {
        Ok(identity(&fs::symlink_metadata(path)?) == identity(&self.file.metadata()?)
            && self.is_unchanged()?
            && !self.is_being_written())
    }

    fn is_unchanged(&self) -> io::Result<bool> {
        (&self.file).rewind()?;
        Ok(content(&self.file, self.bytes.len() as u64)? == self.bytes)
    }
}

/// Puts `new` in the place of `old` at `path`, with its mode and owner; mode 0600 where there was no
/// file. Missing directories are made with mode 0700.
///
/// Both files change places in one step, so what had been there is at hand afterwards: if it is not
/// what was read, the step is taken back, and nobody has seen the new file meanwhile.
pub(super) fn replace(path: &Path, old: Option<&Snapshot>, new: &[u8]) -> io::Result<Replaced> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Its own errors name the temporary file, which says nothing to a user.
    let mut file = NamedTempFile::with_prefix_in(temporary_prefix(path), directory)
        .map_err(|error| io::Error::from(error.kind()))?;
    if let Some(old) = old {
        copy_mode_and_owner(file.as_file(), &old.file)?;
    }
    file.as_file_mut().write_all(new)?;
    file.as_file().sync_all()?;
    let (file, temporary) = file.into_parts();
    let replaced = match old {
        None => appear(&temporary, path)?,
        Some(old) => exchange(&temporary, &file, path, old)?,
    };
    if matches!(replaced, Replaced::Done) {
        File::open(directory)?.sync_all()?;
    }
    Ok(replaced)
}

/// Writes over a file in its place, for one that cannot be replaced because it is a mount. Room is
/// made first, but a crash in the middle leaves half a file: for those who asked for it.
pub(super) fn overwrite(path: &Path, old: &Snapshot, new: &[u8]) -> io::Result<Replaced> {
    let mut file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    if identity(&file.metadata()?) != identity(&old.file.metadata()?) || !old.is_unchanged()? {
        return Ok(Replaced::Overtaken);
    }
    posix_fallocate(&file, 0, i64::try_from(new.len()).unwrap_or(i64::MAX))?;
    file.write_all(new)?;
    file.set_len(new.len() as u64)?;
    file.sync_all()?;
    Ok(Replaced::Done)
}

/// Removes what a killed process of ours left beside `path`. Call with the lock held.
pub(super) fn sweep(path: &Path) {
    let Some(directory) = path.parent() else { return };
    let Ok(entries) = fs::read_dir(directory) else { return };
    let prefix = temporary_prefix(path);
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            // What cannot be removed is found again next time.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn temporary_prefix(path: &Path) -> String {
    format!(".{}.registry-agent-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// The new file takes the place of none.
fn appear(temporary: &TempPath, path: &Path) -> io::Result<Replaced> {
    let flags = RenameFlags::RENAME_NOREPLACE;
    match renameat2(AT_FDCWD, &**temporary, AT_FDCWD, path, flags) {
        Ok(()) => Ok(Replaced::Done),
        Err(Errno::EEXIST) => Ok(Replaced::Overtaken),
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            if fs::symlink_metadata(path).is_ok() {
                return Ok(Replaced::Overtaken);
            }
            fs::rename(temporary, path)?;
            Ok(Replaced::Done)
        }
        Err(error) => Err(error.into()),
    }
}

/// The new file takes the place of `old`, and of nothing else.
fn exchange(temporary: &TempPath, new: &File, path: &Path, old: &Snapshot) -> io::Result<Replaced> {
    // Nobody reads the new file until it is certain that nothing is missing in it.
    keep_closed_to_others(new);
    if !old.is_still_at(path).or_else(absent)? {
        return Ok(Replaced::Overtaken);
    }
    let swap = || {
        let flags = RenameFlags::RENAME_EXCHANGE;
        renameat2(AT_FDCWD, &**temporary, AT_FDCWD, path, flags).map_err(io::Error::from)
    };
    match swap() {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Replaced::Overtaken),
        Err(error) if is_unsupported(&error) => {
            // The file system can only replace; the look taken above has to do.
            fs::rename(temporary, path)?;
            return Ok(Replaced::Done);
        }
        Err(error) => return Err(error),
    }
    if old.is_still_at(temporary)? {
        return Ok(Replaced::Done);
    }
    let theirs = content(&File::open(temporary)?, u64::MAX - 1)?;
    let is_ours = |path: &Path| {
        Ok::<_, io::Error>(identity(&fs::symlink_metadata(path)?) == identity(&new.metadata()?))
    };
    if is_ours(path)? {
        swap()?;
        if !is_ours(temporary)? {
            // A third writer replaced ours just then: the last one wins, as without us.
            swap()?;
        }
    }
    // Who waits to open our file found it in the place of theirs: it becomes theirs.
    new.set_len(0)?;
    new.write_all_at(&theirs, 0)?;
    Ok(Replaced::Overtaken)
}

/// Gives a new file the mode and owner of the one it will replace.
fn copy_mode_and_owner(new: &File, old: &File) -> io::Result<()> {
    let (is, was) = (new.metadata()?, old.metadata()?);
    let mut mode = was.mode() & 0o7777;
    if (is.uid(), is.gid()) != (was.uid(), was.gid())
        && fchown(new, Some(was.uid()), Some(was.gid())).is_err()
    {
        if is.uid() != was.uid() {
            return Err(io::Error::other("it belongs to another user"));
        }
        // The group cannot be kept, so what the old one might do, the new one may not.
        mode &= !0o070;
    }
    new.set_permissions(Permissions::from_mode(mode))
}

/// At most one byte more than `limit`.
fn content(file: &File, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let size = file.metadata()?.len().min(limit);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn absent(error: io::Error) -> io::Result<bool> {
    if error.kind() == io::ErrorKind::NotFound { Ok(false) } else { Err(error) }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS))
}

/// A pause of the calling thread: nothing tells when a stranger's save has ended for good.
pub(super) fn pause() {
    let timeout = PollTimeout::try_from(PAUSE).unwrap_or(PollTimeout::ZERO);
    // Cut short by a signal, it is a shorter pause.
    let _ = poll(&mut [], timeout);
}
