//! Opens regular files alone: reading from a FIFO or a device may never end, and opening one may have effects.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

/// Whether the last component of a path may be a symbolic link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// A link is followed.
    Followed,
    /// A link is an error.
    Refused,
}

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The error of the operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path is a link, and links are refused.
    #[error("it is a symbolic link")]
    Link,
    /// The path is a directory, a device, a FIFO or a socket.
    #[error("it is not a regular file")]
    NotAFile,
}

/// Opens the regular file at `path` for reading.
pub fn open(path: &Path, links: Links) -> Result<File, OpenError> {
    let link_flag = if links == Links::Refused { OFlag::O_NOFOLLOW } else { OFlag::empty() };
    // Check before opening, because opening a device may have effects, and again afterwards,
    // because the file may have been replaced in between.
    let found = match links {
        Links::Followed => fs::metadata(path)?,
        Links::Refused => fs::symlink_metadata(path)?,
    };
    if found.is_symlink() {
        return Err(OpenError::Link);
    }
    if !found.is_file() {
        return Err(OpenError::NotAFile);
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | link_flag;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(OpenError::NotAFile);
    }
    Ok(file)
}

/// Reads the regular file that `path` leads to. `None` if it is larger than `limit`, in bytes.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, OpenError> {
    let mut content = Vec::new();
    open(path, Links::Followed)?.take(limit + 1).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= limit).then_some(content))
}
