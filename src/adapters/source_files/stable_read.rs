//! Reads a file safely: it may be incomplete, or a link or special file placed by somebody else.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

pub(super) use crate::adapters::regular_file::Links;
use crate::adapters::regular_file::OpenError;
use crate::adapters::{permissions, process, regular_file};
use crate::domain::reasons::SourceReason;

/// The maximum size of a file of variables: 100 secrets of 48 KB in base64, twice.
pub(super) const FILE_LIMIT: u64 = 16 << 20;
/// The maximum size of a file with a single value.
pub(super) const VALUE_LIMIT: u64 = 1 << 20;

/// Identifies one state of a file: inode, size, and the time of the last change (seconds,
/// nanoseconds).
pub(super) type FileStamp = (u64, u64, i64, i64);

/// A file that was read completely.
pub(super) struct FileRead {
    /// The content of the file.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// The state of the file that the content belongs to.
    pub(super) stamp: FileStamp,
    /// The user ID of the file's owner.
    pub(super) owner: u32,
    /// Whether another process had it open for writing; `None` if the kernel cannot tell.
    pub(super) has_writer: Option<bool>,
}

/// Reads the regular file at `path`, of at most `limit` bytes. `None` if it does not exist.
pub(super) fn read(
    path: &Path,
    links: Links,
    limit: u64,
) -> Result<Option<FileRead>, SourceReason> {
    let shown = || path.display().to_string();
    match try_read(path, links, limit) {
        Ok(read) => read.map(Some),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => {
                let remedy = permissions::to_read(path);
                Err(SourceReason::Unreadable { path: shown(), fault: error.to_string(), remedy })
            }
        },
    }
}

fn try_read(path: &Path, links: Links, limit: u64) -> io::Result<Result<FileRead, SourceReason>> {
    let shown = || path.display().to_string();
    let mut file = match regular_file::open(path, links) {
        Ok(file) => file,
        Err(OpenError::Io(error)) => return Err(error),
        Err(OpenError::Link) => return Ok(Err(SourceReason::Link { path: shown() })),
        Err(OpenError::NotAFile) => return Ok(Err(SourceReason::NotAFile { path: shown() })),
    };
    let has_writer = process::has_writer(&file);
    let Some(bytes) = read_at_most(&mut file, limit)? else {
        return Ok(Err(SourceReason::TooLarge { path: shown(), limit }));
    };
    let state = file.metadata()?;
    let stamp = (state.ino(), state.size(), state.mtime(), state.mtime_nsec());
    Ok(Ok(FileRead { bytes, stamp, owner: state.uid(), has_writer }))
}

fn read_at_most(file: &mut File, limit: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let size = file.metadata()?.len();
    if size > limit {
        return Ok(None);
    }
    // Allocate the full size: a buffer that grows leaves copies of secrets behind.
    let room = usize::try_from(size).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn code(read: Result<Option<FileRead>, SourceReason>) -> &'static str {
        match read {
            Ok(Some(FileRead { has_writer: Some(true), .. })) => "being written",
            Ok(Some(_)) => "whole",
            Ok(None) => "absent",
            Err(reason) => reason.code(),
        }
    }

    #[test]
    fn only_regular_files_are_read_and_nothing_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "text").unwrap();
        symlink(at("file"), at("link")).unwrap();
        mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        fs::write(at("large"), vec![b'x'; 100]).unwrap();
        let read = |name: &str, links| code(read(&at(name), links, 99));
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
    fn the_kernel_says_whether_a_file_is_open_for_writing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut writer = File::create(&path).unwrap();
        writer.write_all(b"half").unwrap();
        assert_eq!(code(read(&path, Links::Followed, 99)), "being written");
        drop(writer);
        assert_eq!(code(read(&path, Links::Followed, 99)), "whole");
    }
}
