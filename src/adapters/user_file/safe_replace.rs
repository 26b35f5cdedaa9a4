//! Replaces a user's file atomically, without losing concurrent changes by other programs.

use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{
    DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown,
};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, posix_fallocate, renameat2};
use nix::libc;
use tempfile::{NamedTempFile, TempPath};

use super::snapshot::{Snapshot, content, identity};
use crate::adapters::process::keep_closed_to_others;

/// Precedes the inode number in the name of a temporary file.
const INODE: &str = "inode-";

/// Replaces `old` at `path` with `new`, keeping mode and owner; mode 0600 if the file did not
/// exist. Missing directories are created with mode 0700.
///
/// The two files are exchanged atomically, so the old one can be checked afterwards: if it is not
/// what was read, the exchange is reverted before anyone has seen the new file. The result is false
/// then: another program wrote first, and its content is in place.
pub(super) fn replace(path: &Path, old: Option<&Snapshot>, new: &[u8]) -> io::Result<bool> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // `NamedTempFile`'s errors contain the temporary name, which means nothing to a user.
    let mut file = NamedTempFile::with_prefix_in(temporary_prefix(path), directory)
        .map_err(|error| io::Error::from(error.kind()))?;
    if let Some(old) = old {
        copy_mode_and_owner(file.as_file(), &old.file)?;
    }
    file.as_file_mut().write_all(new)?;
    file.as_file().sync_all()?;
    let (file, mut temporary) = named_by_inode(file, path)?;
    let replaced = put_in_place(&mut temporary, &file, path, old)?;
    if replaced {
        File::open(directory)?.sync_all()?;
    }
    Ok(replaced)
}

/// Removes `old` at `path`. It is renamed first: what another program wrote there since comes back. The
/// result is false then.
pub(super) fn remove(path: &Path, old: &Snapshot) -> io::Result<bool> {
    if !old.is_still_at(path)? {
        return Ok(false);
    }
    let inode = old.file.metadata()?.ino();
    let aside = path.with_file_name(format!("{}{INODE}{inode}", temporary_prefix(path)));
    fs::rename(path, &aside)?;
    if old.is_still_at(&aside)? {
        fs::remove_file(&aside)?;
        return Ok(true);
    }
    match renameat2(AT_FDCWD, &aside, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE) {
        // The last writer wins, as it would without us.
        Err(Errno::EEXIST) => fs::remove_file(&aside)?,
        restored => restored?,
    }
    Ok(false)
}

/// Overwrites a file in place, because a mount cannot be replaced. Space is allocated first, but a
/// crash in the middle leaves a partial file, so this is only done if the user enables it.
pub(super) fn overwrite(path: &Path, old: &Snapshot, new: &[u8]) -> io::Result<bool> {
    let mut file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    if identity(&file.metadata()?) != identity(&old.file.metadata()?) || !old.is_unchanged()? {
        return Ok(false);
    }
    posix_fallocate(&file, 0, i64::try_from(new.len()).unwrap_or(i64::MAX))?;
    file.write_all(new)?;
    file.set_len(new.len() as u64)?;
    file.sync_all()?;
    Ok(true)
}

/// Restores or removes what an interrupted write of ours left next to `path`. Call it with the lock
/// held.
pub(super) fn sweep(path: &Path) {
    let Ok(entries) = fs::read_dir(path.parent().unwrap_or(Path::new("/"))) else { return };
    for entry in entries.flatten() {
        // A file that cannot be checked, restored or removed is found again next time.
        let _ = sweep_one(&entry, path);
    }
}

/// A temporary file whose name contains another inode was exchanged with ours and possibly not
/// checked since: it may contain more than ours was made from. It is restored, unless ours has been
/// replaced by now.
fn sweep_one(entry: &DirEntry, path: &Path) -> io::Result<()> {
    let name = entry.file_name().to_string_lossy().into_owned();
    let Some(suffix) = name.strip_prefix(&temporary_prefix(path)) else { return Ok(()) };
    let ours = suffix.strip_prefix(INODE).and_then(|inode| inode.parse::<u64>().ok());
    let was_exchanged = ours.is_some() && Some(entry.metadata()?.ino()) != ours;
    let is_ours_there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        found => Some(found?.ino()) == ours,
    };
    if was_exchanged && is_ours_there {
        fs::rename(entry.path(), path)
    } else {
        fs::remove_file(entry.path())
    }
}

/// Renames a temporary file so that its name contains its inode number; see [`sweep`].
fn named_by_inode(file: NamedTempFile, path: &Path) -> io::Result<(File, TempPath)> {
    let inode = file.as_file().metadata()?.ino();
    let name = path.with_file_name(format!("{}{INODE}{inode}", temporary_prefix(path)));
    let file = file.persist(&name).map_err(|error| error.error)?;
    Ok((file, TempPath::try_from_path(name)?))
}

fn temporary_prefix(path: &Path) -> String {
    format!(".{}.registry-agent-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Puts the new file in the place of `old`, and of no other file.
fn put_in_place(
    temporary: &mut TempPath,
    new: &File,
    path: &Path,
    old: Option<&Snapshot>,
) -> io::Result<bool> {
    let is_expected = match old {
        None => fs::symlink_metadata(path).is_err(),
        Some(old) => {
            // Nobody may read the new file until it is certain that it lacks nothing.
            keep_closed_to_others(new);
            old.is_still_at(path)?
        }
    };
    if !is_expected {
        return Ok(false);
    }
    let flags = old.map_or(RenameFlags::RENAME_NOREPLACE, |_| RenameFlags::RENAME_EXCHANGE);
    match (renameat2(AT_FDCWD, &**temporary, AT_FDCWD, path, flags), old) {
        (Ok(()), None) => Ok(true),
        (Ok(()), Some(old)) => check_exchanged(temporary, new, path, old),
        (Err(Errno::EEXIST | Errno::ENOENT), _) => Ok(false),
        (Err(Errno::EINVAL | Errno::ENOSYS), _) => {
            // The file system supports only plain renames; the check above must suffice.
            fs::rename(&*temporary, path)?;
            Ok(true)
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Reverts an exchange, unless the exchanged file is `old`. After an error the temporary name may
/// belong to another program's file, so it stays until [`sweep`].
fn check_exchanged(
    temporary: &mut TempPath,
    new: &File,
    path: &Path,
    old: &Snapshot,
) -> io::Result<bool> {
    temporary.disable_cleanup(true);
    let is_done = old.is_still_at(temporary).unwrap_or(false);
    if !is_done {
        let theirs = File::open(&*temporary).and_then(|file| content(&file, u64::MAX - 1));
        let is_ours = |path: &Path| {
            Ok::<_, io::Error>(identity(&fs::symlink_metadata(path)?) == identity(&new.metadata()?))
        };
        if is_ours(path)? {
            swap(temporary, path)?;
            if !is_ours(temporary)? {
                // A third writer replaced our file just then: the last writer wins, as it would
                // without us.
                swap(temporary, path)?;
            }
        }
        if let Ok(theirs) = theirs {
            // A process that waits to open our file expects the user's file: give ours that
            // content.
            new.set_len(0)?;
            new.write_all_at(&theirs, 0)?;
        }
    }
    temporary.disable_cleanup(false);
    Ok(is_done)
}

fn swap(temporary: &Path, path: &Path) -> io::Result<()> {
    let flags = RenameFlags::RENAME_EXCHANGE;
    renameat2(AT_FDCWD, temporary, AT_FDCWD, path, flags).map_err(io::Error::from)
}

/// Copies mode and owner of the file to be replaced to the new one.
fn copy_mode_and_owner(new: &File, old: &File) -> io::Result<()> {
    let (is, was) = (new.metadata()?, old.metadata()?);
    let mut mode = was.mode() & 0o7777;
    if (is.uid(), is.gid()) != (was.uid(), was.gid())
        && fchown(new, Some(was.uid()), Some(was.gid())).is_err()
    {
        if is.uid() != was.uid() {
            return Err(io::Error::other("it belongs to another user"));
        }
        // The group cannot be kept, so the new group must not get the permissions of the old one.
        mode &= !0o070;
    }
    new.set_permissions(Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::snapshot::read;
    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn with(text: &str) -> Self {
            let home = Self(tempfile::tempdir().unwrap());
            fs::write(home.file(), text).unwrap();
            home
        }

        fn file(&self) -> std::path::PathBuf {
            self.0.path().join("config.json")
        }

        /// Reads the file, lets another writer replace it, and exchanges it anyway, as if the other
        /// writer came between the last check and the exchange.
        fn exchange_after(&self, other_writer: impl FnOnce(&Path)) -> (File, TempPath, Snapshot) {
            let old = read(&self.file(), "").unwrap().unwrap();
            let theirs = self.0.path().join("theirs");
            other_writer(&theirs);
            fs::rename(theirs, self.file()).unwrap();
            let new = NamedTempFile::with_prefix_in(temporary_prefix(&self.file()), &self.0);
            let (new, temporary) = named_by_inode(new.unwrap(), &self.file()).unwrap();
            new.write_all_at(b"ours", 0).unwrap();
            swap(&temporary, &self.file()).unwrap();
            (new, temporary, old)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    #[test]
    fn a_file_that_another_writer_put_there_before_the_exchange_goes_back() {
        let home = Home::with("old");
        let (new, mut temporary, old) = home.exchange_after(|path| fs::write(path, "it").unwrap());
        let checked = check_exchanged(&mut temporary, &new, &home.file(), &old);
        assert!(!checked.unwrap());
        drop(temporary);
        assert_eq!(fs::read_to_string(home.file()).unwrap(), "it");
        assert_eq!(home.names(), ["config.json"]);
    }

    #[test]
    fn a_link_that_cannot_be_read_goes_back_too() {
        let home = Home::with("old");
        let (new, mut temporary, old) =
            home.exchange_after(|path| symlink("nowhere", path).unwrap());
        let _ = check_exchanged(&mut temporary, &new, &home.file(), &old);
        drop(temporary);
        assert_eq!(fs::read_link(home.file()).unwrap(), Path::new("nowhere"));
        assert_eq!(home.names(), ["config.json"]);
    }

    #[test]
    fn a_process_that_is_killed_after_the_exchange_leaves_nothing_lost() {
        let home = Home::with("old");
        let (_, mut temporary, _) = home.exchange_after(|path| fs::write(path, "it").unwrap());
        temporary.disable_cleanup(true);
        drop(temporary);
        sweep(&home.file());
        assert_eq!(fs::read_to_string(home.file()).unwrap(), "it");
        assert_eq!(home.names(), ["config.json"]);
    }

    #[test]
    fn a_check_that_fails_after_the_exchange_loses_nothing() {
        let home = Home::with("old");
        let (new, mut temporary, old) = home.exchange_after(|path| fs::write(path, "it").unwrap());
        // Nothing can be found below a file.
        let checked = check_exchanged(&mut temporary, &new, &home.file().join("fails"), &old);
        assert!(checked.is_err());
        drop((temporary, new));
        sweep(&home.file());
        assert_eq!(fs::read_to_string(home.file()).unwrap(), "it");
        assert_eq!(home.names(), ["config.json"]);
    }

    #[test]
    fn an_old_file_that_can_no_longer_be_read_loses_nothing() {
        let home = Home::with("old");
        let (new, mut temporary, mut old) =
            home.exchange_after(|path| fs::write(path, "it").unwrap());
        old.file = OpenOptions::new().write(true).open(&temporary).unwrap();
        let checked = check_exchanged(&mut temporary, &new, &home.file(), &old);
        assert!(!checked.unwrap());
        drop(temporary);
        assert_eq!(fs::read_to_string(home.file()).unwrap(), "it");
        assert_eq!(home.names(), ["config.json"]);
    }

    #[test]
    fn only_the_file_that_was_read_is_removed() {
        let home = Home::with("old");
        let old = read(&home.file(), "").unwrap().unwrap();
        assert!(remove(&home.file(), &old).unwrap());
        assert!(home.names().is_empty());
        fs::write(home.file(), "newest").unwrap();
        assert!(!remove(&home.file(), &old).unwrap());
        assert_eq!(fs::read_to_string(home.file()).unwrap(), "newest");
        assert_eq!(home.names(), ["config.json"]);
    }

    #[test]
    fn what_replaced_our_file_after_an_exchange_stays() {
        let home = Home::with("old");
        let (_, mut temporary, _) = home.exchange_after(|path| fs::write(path, "it").unwrap());
        temporary.disable_cleanup(true);
        drop(temporary);
        let newest = home.0.path().join("newest");
        fs::write(&newest, "newest").unwrap();
        fs::rename(newest, home.file()).unwrap();
        sweep(&home.file());
        assert_eq!(fs::read_to_string(home.file()).unwrap(), "newest");
        assert_eq!(home.names(), ["config.json"]);
    }
}
