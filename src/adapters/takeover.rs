//! How `run` takes over an agent that a helper started: the lock, the listening socket and the last state
//! pass from one agent to the other, so that nothing pushed is lost and no third process can start an agent
//! in between.
//!
//! `run` listens in the lock's directory and sends SIGTERM to the supervisor. The supervisor connects
//! and gives the connection to its agent, which stops serving and sends the descriptors. The first
//! agent of `run` accepts as soon as it has them. Until then the old agent keeps everything: if the
//! connection closes without the acceptance, it serves again. The acceptance stays unread in the
//! connection, where the old supervisor finds it too, so that the death of any process leaves the
//! others with one decision.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, getsockopt, recv, send, sockopt};

use super::handoff::{self, Descriptors, Message};
use super::lock;
use super::paths::Paths;

/// The socket on which `run` waits.
const SOCKET: &str = "takeover";

/// The socket on which `run` waits for what an agent hands over.
#[derive(Debug)]
pub struct Takeover {
    listener: UnixListener,
    path: PathBuf,
    uid: u32,
    stream: Option<UnixStream>,
}

impl Takeover {
    /// Listens in the lock's directory.
    pub fn listen(paths: &Paths) -> io::Result<Self> {
        let (dir, file) = lock::open(paths).map_err(io::Error::other)?;
        let path = dir.join(SOCKET);
        lock::remove_if_there(&path)?;
        let listener = UnixListener::bind(short_path(&file))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path, uid: paths.uid, stream: None })
    }

    /// Whether a supervisor has connected.
    pub fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// What an agent has handed over, and the connection on which the next one has to [`accept`] it.
    /// `None` if nothing has arrived yet.
    pub fn receive(&mut self) -> io::Result<Option<(Descriptors, OwnedFd)>> {
        let Some(stream) = self.stream.take().map_or_else(|| self.connection(), |s| Ok(Some(s)))?
        else {
            return Ok(None);
        };
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

/// Connects to a `run` that waits to take over; `None` if none does.
pub fn connect(paths: &Paths) -> io::Result<Option<OwnedFd>> {
    let (_dir, file) = lock::open(paths).map_err(io::Error::other)?;
    // A `run` that gave up leaves a socket on which nobody listens.
    let Ok(stream) = UnixStream::connect(short_path(&file)) else { return Ok(None) };
    Ok(is_peer(&stream, paths.uid)?.then(|| stream.into()))
}

/// Sends everything to `run` and waits for the decision: whether the other side has accepted.
pub fn hand_over(stream: BorrowedFd<'_>, descriptors: Descriptors) -> bool {
    handoff::send(stream, &Message::TakeOver(descriptors)).is_ok() && is_accepted(stream)
}

/// Waits for the decision after the agent that handed over has died. A `run` to which it sent nothing
/// closes the connection.
pub fn decision(stream: OwnedFd) -> bool {
    let stream = UnixStream::from(stream);
    // The connection may be closed already.
    let _ = stream.shutdown(Shutdown::Write);
    is_accepted(stream.as_fd())
}

/// Whether the connection closed without an acceptance.
pub fn is_abandoned(stream: BorrowedFd<'_>) -> bool {
    peek(stream) == Ok(0)
}

/// Accepts what was handed over. Call it in the agent that has it.
pub fn accept(stream: BorrowedFd<'_>) {
    // The other side may be dead, which decides the same.
    let _ = send(stream.as_raw_fd(), b"accepted", MsgFlags::MSG_NOSIGNAL);
}

/// Whether there is an acceptance, which stays in the connection, and not the connection's end.
fn is_accepted(stream: BorrowedFd<'_>) -> bool {
    loop {
        let mut readable = [PollFd::new(stream, PollFlags::POLLIN)];
        match poll(&mut readable, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
        match peek(stream) {
            Ok(length) => return length > 0,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

fn peek(stream: BorrowedFd<'_>) -> nix::Result<usize> {
    recv(stream.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)
}

/// The socket's path by way of the open directory: the directory's own may be too long for a socket.
fn short_path(dir: &impl AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()).into()
}

fn is_peer(stream: &UnixStream, uid: u32) -> io::Result<bool> {
    Ok(getsockopt(stream, sockopt::PeerCredentials)?.uid() == uid)
}
