//! The agent's listening socket. Call these functions with the lock held: then a socket without a
//! listener is stale.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::stat::{Mode, umask};

use super::lock::remove_if_there;
use super::ownership;
use super::passwd::User;
use super::paths::{Paths, SYSTEM_RUNTIME_DIR};

/// Listens on the first of the user's sockets whose directory is usable.
///
/// Anyone may connect, because anyone may read the status. The peer's user ID determines which
/// other requests are allowed.
pub fn listen(paths: &Paths) -> io::Result<(PathBuf, UnixListener)> {
    let mut faults = Vec::new();
    for path in paths.sockets() {
        match listen_on(&path, (!paths.has_own_socket()).then_some(paths.uid)) {
            Ok(listener) => return Ok((path, listener)),
            Err(error) => faults.push(format!("{}: {error}", path.display())),
        }
    }
    Err(io::Error::other(format!("cannot create a socket: {}", faults.join("; "))))
}

/// Creates the system's socket directory for `user`, when root starts the agent for that user.
pub fn prepare_system_dir(user: &User) -> io::Result<()> {
    let dir = Path::new(SYSTEM_RUNTIME_DIR);
    make_dir(dir, 0o755)?;
    if !fs::symlink_metadata(dir)?.is_dir() {
        return Err(io::Error::other(format!("{} is not a directory", dir.display())));
    }
    chown(dir, Some(user.uid), Some(user.gid))
}

/// Whether a process listens on `path`.
pub fn has_listener(path: &Path) -> bool {
    matches!(connect_at_once(path), Ok(()) | Err(Errno::EAGAIN))
}

/// Connects without waiting: if the queue is full, connect(2) would block until there is room.
fn connect_at_once(path: &Path) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(stream.as_raw_fd(), &UnixAddr::new(path)?)
}

/// Listens on `path`, whose directory must belong to `owner` if one is given: in a directory that
/// others may write to, another user could replace the socket.
fn listen_on(path: &Path, owner: Option<u32>) -> io::Result<UnixListener> {
    if let Some(stranger) = ownership::untrusted_owner_above(path) {
        return Err(io::Error::other(format!("uid {stranger} could replace it")));
    }
    if let Some(dir) = path.parent()
        && dir != Path::new(SYSTEM_RUNTIME_DIR)
    {
        fs::create_dir_all(dir.parent().unwrap_or(dir))?;
        make_dir(dir, 0o700)?;
    }
    if let Some((owner, dir)) = owner.zip(path.parent()) {
        let found = fs::symlink_metadata(dir)?;
        if !found.is_dir() || found.uid() != owner {
            return Err(io::Error::other(format!("not a directory of uid {owner}")));
        }
    }
    match connect_at_once(path) {
        Ok(()) | Err(Errno::EAGAIN) => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent listens there"));
        }
        Err(Errno::ECONNREFUSED) => remove_if_there(path)?,
        Err(_) => {}
    }
    bind_for_everyone(path)
}

/// A socket that anyone may connect to. A change of its mode by its path could reach another file, which
/// somebody puts there in between. Call it in a process with one thread, because all share the umask.
fn bind_for_everyone(path: &Path) -> io::Result<UnixListener> {
    let before = umask(Mode::from_bits_truncate(0o111));
    let listener = UnixListener::bind(path);
    umask(before);
    listener
}

fn make_dir(dir: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/agent.sock");
        drop(listen_on(&path, None).unwrap());
        assert!(path.exists(), "a dead listener leaves its socket behind");
        let _live = listen_on(&path, None).unwrap();
        let mode = fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o666, "everyone may connect");
        assert_eq!(listen_on(&path, None).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
