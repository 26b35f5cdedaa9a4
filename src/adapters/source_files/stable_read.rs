//! Reads a file that somebody else may be writing, or have put there to be followed or to hang us.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::libc;
use zeroize::Zeroizing;

use crate::adapters::process;
use crate::domain::reasons::SourceReason;

/// The most that is read of a file of variables: 100 secrets of 48 KB in base64, twice.
pub(super) const FILE_LIMIT: u64 = 16 << 20;
/// The most that is read of a file that is one value.
pub(super) const VALUE_LIMIT: u64 = 1 << 20;

/// Whether the last component may be a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// It may.
    Followed,
    /// It is refused.
    Refused,
}

/// What tells one state of a file from another: inode, size, and the time of the last change (s, ns).
pub(super) type FileStamp = (u64, u64, i64, i64);

/// Whether there is nothing in the file.
pub(super) fn is_empty((_, size, _, _): FileStamp) -> bool {
    size == 0
}

/// A state that may be in the middle of something; nothing where it is known not to be.
pub(super) type MaybeChanging = Option<FileStamp>;

/// What came of it.
pub(super) enum ReadOutcome {
    /// Everything that is in it.
    Whole {
        /// The bytes.
        bytes: Zeroizing<Vec<u8>>,
        /// Which state of the file it is, where the kernel does not say that nobody is writing.
        maybe_changing: MaybeChanging,
    },
    /// There is no such file.
    Absent,
    /// Somebody is writing it.
    Busy,
    /// It cannot be read.
    Failed(SourceReason),
}

/// Reads the regular file at `path`, as long as it is of `limit` bytes at most. With `must_be_free` it is
/// read only when the kernel says that nobody writes it.
pub(super) fn read(path: &Path, links: Links, limit: u64, must_be_free: bool) -> ReadOutcome {
    match try_read(path, links, limit, must_be_free) {
        Ok(reading) => reading,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadOutcome::Absent,
            _ => ReadOutcome::Failed(SourceReason::Unreadable {
                path: path.display().to_string(),
                fault: error.to_string(),
            }),
        },
    }
}

fn try_read(path: &Path, links: Links, limit: u64, must_be_free: bool) -> io::Result<ReadOutcome> {
    let shown = || path.display().to_string();
    let link_flag = if links == Links::Refused { OFlag::O_NOFOLLOW } else { OFlag::empty() };
    let found = match links {
        Links::Followed => fs::metadata(path)?,
        Links::Refused => fs::symlink_metadata(path)?,
    };
    if found.is_symlink() {
        return Ok(ReadOutcome::Failed(SourceReason::Link { path: shown() }));
    }
    // Looked at before it is opened, because to open a device may do something; and after, because it
    // may be another one by then, which must not make us wait either.
    if !found.is_file() {
        return Ok(ReadOutcome::Failed(SourceReason::NotAFile { path: shown() }));
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | link_flag;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let mut file = match file {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Ok(ReadOutcome::Failed(SourceReason::Link { path: shown() }));
        }
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Ok(ReadOutcome::Failed(SourceReason::NotAFile { path: shown() }));
    }
    let has_writer = process::has_writer(&file);
    if has_writer.unwrap_or(must_be_free) {
        return Ok(ReadOutcome::Busy);
    }
    let bytes = read_at_most(&mut file, limit)?;
    let state = file.metadata()?;
    let stamp = (state.ino(), state.size(), state.mtime(), state.mtime_nsec());
    let maybe_changing = has_writer.is_none().then_some(stamp);
    Ok(match bytes {
        Some(bytes) => ReadOutcome::Whole { bytes, maybe_changing },
        None => ReadOutcome::Failed(SourceReason::TooLarge { path: shown(), limit }),
    })
}

fn read_at_most(file: &mut File, limit: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let size = file.metadata()?.len();
    if size > limit {
        return Ok(None);
    }
    // Room for everything at once, so that growing leaves no copies behind.
    let room = usize::try_from(size).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn code(reading: ReadOutcome) -> &'static str {
        match reading {
            ReadOutcome::Whole { .. } => "whole",
            ReadOutcome::Absent => "absent",
            ReadOutcome::Busy => "busy",
            ReadOutcome::Failed(reason) => reason.code(),
        }
    }

    #[test]
    fn only_regular_files_are_read_and_nothing_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "text").unwrap();
        symlink(at("file"), at("link")).unwrap();
        mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        fs::write(at("large"), vec![b'x'; 100]).unwrap();
        let read = |name: &str, links| code(read(&at(name), links, 99, false));
        assert_eq!(read("file", Links::Refused), "whole");
        assert_eq!(read("link", Links::Refused), "file-is-a-link");
        assert_eq!(read("link", Links::Followed), "whole");
        assert_eq!(read("pipe", Links::Followed), "file-not-regular");
        assert_eq!(read(".", Links::Followed), "file-not-regular");
        assert_eq!(read("large", Links::Followed), "file-too-large");
        assert_eq!(read("none", Links::Followed), "absent");
        assert_eq!(read("file/none", Links::Followed), "absent");
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut writer = File::create(&path).unwrap();
        writer.write_all(b"ha").unwrap();
        assert_eq!(code(read(&path, Links::Followed, 99, false)), "busy");
        writer.write_all(b"lf").unwrap();
        drop(writer);
        let ReadOutcome::Whole { bytes, maybe_changing } = read(&path, Links::Followed, 99, true)
        else {
            panic!()
        };
        assert_eq!((bytes.as_slice(), maybe_changing), (&b"half"[..], None));
    }
}
