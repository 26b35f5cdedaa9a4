//! How `run` takes over an agent that a helper started: the lock, the listening socket and the last state
//! pass from one agent to the other, so that nothing pushed is lost and no third process can start an agent
//! in between.
//!
//! `run` listens in the lock's directory and sends SIGTERM to the supervisor. The supervisor connects
//! and gives the connection to its agent, which stops serving and sends the descriptors. The first
//! agent of `run` accepts as soon as it has them. Until then the old agent keeps everything: if the
//! connection closes without the acceptance, or if that takes too long, it serves again.
//!
//! A `run` that is killed after its SIGTERM leaves a socket on which nobody listens. It tells the
//! supervisor that the signal was not a request to stop, for as long as a `run` waits at most: an older
//! one belongs to another signal.
//!
//! There is one decision, whichever process dies or hangs. An acceptance stays unread in the
//! connection, where the old supervisor finds it too. To refuse it, the old side shuts the connection
//! down for reading: from then on the kernel rejects an acceptance, and one that came before is still
//! there to be found.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, Shutdown, getsockopt, recv, send, shutdown, sockopt};

use super::clock::Clock;
use super::handoff::{self, Descriptors, Message};
use super::lock;
use super::paths::Paths;

/// The socket on which `run` waits.
const SOCKET: &str = "takeover";
/// The socket of a killed `run`, while a supervisor removes it.
const DEAD_SOCKET: &str = "takeover.dead";
/// How long `run` may take to accept. No client is served meanwhile.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// How long `run` waits for an agent that it asked.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(15);
/// What the side that hands over sends if its agent died before it sent everything.
const DIED: &[u8] = b"died";
/// What the side that handed over sends when it serves again.
const REFUSED: &[u8] = b"refused";

/// The socket on which `run` waits for what an agent hands over.
#[derive(Debug)]
pub struct Takeover {
    listener: UnixListener,
    path: PathBuf,
    /// The device and the inode of the socket.
    identity: Option<(u64, u64)>,
    uid: u32,
    stream: Option<UnixStream>,
    is_connected: bool,
}

impl Takeover {
    /// Listens in the lock's directory.
    pub fn listen(paths: &Paths) -> io::Result<Self> {
        let (dir, file) = lock::open(paths).map_err(io::Error::other)?;
        Self::new(listen_in(&file)?, dir.join(SOCKET), paths.uid)
    }

    fn new(listener: UnixListener, path: PathBuf, uid: u32) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let identity = identity(&path);
        Ok(Self { listener, path, identity, uid, stream: None, is_connected: false })
    }

    /// Whether a supervisor was connected at the last [`Takeover::receive`], even if it has left since.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Whether a supervisor that is asked now finds a socket. It finds none if another `run` replaced
    /// this one's and was killed.
    pub fn is_in_place(&self) -> bool {
        self.path.exists()
    }

    /// Stops waiting, because there is no agent left.
    pub fn end(self) -> io::Result<()> {
        lock::remove_if_there(&self.path)
    }

    /// What an agent has handed over, and the connection on which the next one has to [`accept`] it.
    /// `None` if nothing has arrived yet.
    pub fn receive(&mut self) -> io::Result<Option<(Descriptors, OwnedFd)>> {
        let stream = self.stream.take().map_or_else(|| self.connection(), |s| Ok(Some(s)))?;
        self.is_connected = stream.is_some();
        let Some(stream) = stream else { return Ok(None) };
        match handoff::receive(stream.as_fd()) {
            Ok(Some(Message::TakeOver(descriptors))) => {
                lock::remove_if_there(&self.path)?;
                Ok(Some((descriptors, stream.into())))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.stream = Some(stream);
                Ok(None)
            }
            // The other side has died or resumed; its next supervisor connects again.
            _ => Ok(None),
        }
    }

    fn connection(&self) -> io::Result<Option<UnixStream>> {
        match self.listener.accept() {
            Ok((stream, _)) => Ok(is_peer(&stream, self.uid)?.then_some(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Takeover {
    fn drop(&mut self) {
        // The agent would take the socket of a `run` that gave up for that of a killed one. Another `run`
        // may have replaced it.
        if identity(&self.path) == self.identity {
            let _ = lock::remove_if_there(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Listens on a socket that appears whole and replaces the one before it: a supervisor that finds none
/// would stop.
fn listen_in(dir: &File) -> io::Result<UnixListener> {
    let new = format!("{SOCKET}.{}", process::id());
    lock::remove_if_there(&short_path(dir, &new))?;
    let listener = UnixListener::bind(short_path(dir, &new))?;
    fs::rename(short_path(dir, &new), short_path(dir, SOCKET))?;
    Ok(listener)
}

/// Who waits to take over.
#[derive(Debug)]
pub enum WaitingRun {
    /// A `run`, at the other end of this stream.
    Connected(OwnedFd),
    /// Nobody any more: the `run` that asked was killed.
    Killed,
    /// Nobody.
    None,
}

/// Connects to a `run` that waits to take over. Removes the socket of one that was killed.
pub fn connect(paths: &Paths) -> io::Result<WaitingRun> {
    let (_dir, file) = lock::open(paths).map_err(io::Error::other)?;
    connect_in(&file, paths.uid)
}

fn connect_in(dir: &File, uid: u32) -> io::Result<WaitingRun> {
    let (socket, dead) = (short_path(dir, SOCKET), short_path(dir, DEAD_SOCKET));
    let mut connected = UnixStream::connect(&socket);
    let is_dead = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    let mut killed = WaitingRun::None;
    if connected.as_ref().is_err_and(is_dead) {
        if is_recent(&socket) {
            killed = WaitingRun::Killed;
        }
        // Another `run` may have replaced it meanwhile, so look again at what is removed.
        let found = if fs::rename(&socket, &dead).is_ok() { &dead } else { &socket };
        connected = UnixStream::connect(found);
        // A socket that stays counts until it is old.
        let _ = lock::remove_if_there(&dead);
    }
    match connected {
        Ok(stream) if is_peer(&stream, uid)? => Ok(WaitingRun::Connected(stream.into())),
        _ => Ok(killed),
    }
}

/// Whether the `run` that left this socket may have sent its SIGTERM just now. A socket that has gone is
/// one that another process just replaced or removed.
fn is_recent(socket: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(socket) else { return true };
    let age = Clock::system().now().as_second() - found.mtime();
    age <= WAIT_TIMEOUT.as_secs().cast_signed()
}

/// Sends everything to `run`. Returns whether it accepts in time.
pub fn hand_over(stream: BorrowedFd<'_>, descriptors: Descriptors) -> bool {
    handoff::send(stream, &Message::TakeOver(descriptors)).is_ok() && is_accepted(stream)
}

/// Whether `run` accepts in time, after the agent that handed over has ended. A `run` to which it sent
/// nothing closes the connection.
pub fn decision(stream: BorrowedFd<'_>) -> bool {
    tell(stream, DIED);
    is_accepted(stream)
}

/// Refuses an acceptance from now on. Returns false if it has come already.
pub fn refuse(stream: BorrowedFd<'_>) -> bool {
    // The connection may be closed already.
    let _ = shutdown(stream.as_raw_fd(), Shutdown::Read);
    let is_refused = !peek(stream).is_ok_and(|length| length > 0);
    if is_refused {
        tell(stream, REFUSED);
    }
    is_refused
}

/// Whether the takeover was refused, or the connection closed without an acceptance.
pub fn is_abandoned(stream: BorrowedFd<'_>) -> bool {
    peek(stream) == Ok(0)
}

/// Accepts what was handed over. Call it in the agent that has it. Returns false if the other side
/// serves again.
pub fn accept(stream: BorrowedFd<'_>) -> bool {
    // The other side is gone if it is dead, or if an agent that has died since accepted before.
    send(stream.as_raw_fd(), b"accepted", MsgFlags::MSG_NOSIGNAL).is_ok() || !is_refused(stream)
}

/// Reads to the refusal or to the end of a connection that rejects the acceptance.
fn is_refused(stream: BorrowedFd<'_>) -> bool {
    let (mut told, mut buffer) = (Vec::new(), [0; 16]);
    loop {
        match recv(stream.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            Ok(0) | Err(_) => return false,
            Ok(length) => told.extend_from_slice(&buffer[..length]),
        }
        if told.windows(REFUSED.len()).any(|window| window == REFUSED) {
            return true;
        }
    }
}

fn tell(stream: BorrowedFd<'_>, word: &[u8]) {
    // Nobody has to know if nobody is there.
    let _ = send(stream.as_raw_fd(), word, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
}

/// Whether an acceptance comes in time, before the connection's end. It stays in the connection.
fn is_accepted(stream: BorrowedFd<'_>) -> bool {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut readable = [PollFd::new(stream, PollFlags::POLLIN)];
        match poll(&mut readable, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return !refuse(stream),
        }
        match peek(stream) {
            Ok(length) => return length > 0,
            Err(Errno::EAGAIN | Errno::EINTR) if !left.is_zero() => {}
            Err(_) => return !refuse(stream),
        }
    }
}

fn peek(stream: BorrowedFd<'_>) -> nix::Result<usize> {
    recv(stream.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)
}

/// A socket's path by way of the open directory: the directory's own may be too long for a socket.
fn short_path(dir: &File, socket: &str) -> PathBuf {
    format!("/proc/self/fd/{}/{socket}", dir.as_raw_fd()).into()
}

fn is_peer(stream: &UnixStream, uid: u32) -> io::Result<bool> {
    Ok(getsockopt(stream, sockopt::PeerCredentials)?.uid() == uid)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn while_one_process_after_another_begins_to_wait_one_always_does() {
        let dir = tempfile::tempdir().unwrap();
        let dir = File::open(dir.path()).unwrap();
        let (mut last, done) = (listen_in(&dir).unwrap(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2000 {
                    last = listen_in(&dir).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                UnixStream::connect(short_path(&dir, SOCKET)).unwrap();
            }
        });
    }

    #[test]
    fn the_socket_of_a_killed_process_is_told_apart_from_none_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(dir.path()).unwrap();
        let uid = nix::unistd::Uid::effective().as_raw();
        let listener = listen_in(&file).unwrap();
        assert!(matches!(connect_in(&file, uid).unwrap(), WaitingRun::Connected(_)));
        drop(listener);
        assert!(matches!(connect_in(&file, uid).unwrap(), WaitingRun::Killed));
        assert!(matches!(connect_in(&file, uid).unwrap(), WaitingRun::None));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "left over");
    }

    #[test]
    fn a_dead_socket_that_is_old_is_that_of_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(dir.path()).unwrap();
        let uid = nix::unistd::Uid::effective().as_raw();
        drop(listen_in(&file).unwrap());
        let mut touch = process::Command::new("touch");
        let touch = touch.args(["-d", "1 minute ago"]).arg(dir.path().join(SOCKET));
        assert!(touch.status().unwrap().success());
        assert!(matches!(connect_in(&file, uid).unwrap(), WaitingRun::None));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "left over");
    }

    #[test]
    fn a_dead_socket_that_cannot_be_moved_is_still_that_of_a_killed_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(dir.path()).unwrap();
        let uid = nix::unistd::Uid::effective().as_raw();
        drop(listen_in(&file).unwrap());
        fs::create_dir(dir.path().join(DEAD_SOCKET)).unwrap();
        assert!(matches!(connect_in(&file, uid).unwrap(), WaitingRun::Killed));
    }

    #[test]
    fn a_process_that_gives_up_removes_its_socket_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(dir.path()).unwrap();
        let path = dir.path().join(SOCKET);
        let wait = || Takeover::new(listen_in(&file).unwrap(), path.clone(), 0);
        let (first, second) = (wait().unwrap(), wait().unwrap());
        drop(first);
        assert!(UnixStream::connect(&path).is_ok(), "the socket of the second is gone");
        drop(second);
        assert!(!path.exists());
    }
}
