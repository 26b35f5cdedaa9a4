//! How `run` takes over an agent that a helper started: the lock, the listening socket and the last state
//! pass from one supervisor to the other, so that nothing pushed is lost and no third process can start an
//! agent in between.
//!
//! `run` listens in the lock's directory and asks the supervisor to end; the supervisor sends the
//! descriptors once its agent has ended.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};

use super::handoff::{self, Descriptors, Message};
use super::lock;
use super::paths::Paths;

/// The socket on which `run` waits.
const SOCKET: &str = "takeover";
/// How long a supervisor that has connected may take to send.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The socket on which `run` waits for what a supervisor hands over.
#[derive(Debug)]
pub struct Takeover {
    listener: UnixListener,
    path: PathBuf,
    uid: u32,
}

impl Takeover {
    /// Listens in the lock's directory.
    pub fn listen(paths: &Paths) -> io::Result<Self> {
        let (dir, file) = lock::open(paths).map_err(io::Error::other)?;
        let path = dir.join(SOCKET);
        lock::remove_if_there(&path)?;
        let listener = UnixListener::bind(short_path(&file))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path, uid: paths.uid })
    }

    /// What a supervisor has handed over; `None` if none has yet.
    pub fn receive(&self) -> io::Result<Option<Descriptors>> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        stream.set_read_timeout(Some(SEND_TIMEOUT))?;
        if !is_peer(&stream, self.uid)? {
            return Ok(None);
        }
        match handoff::receive(stream.as_fd())? {
            Some(Message::TakeOver(descriptors)) => {
                lock::remove_if_there(&self.path)?;
                Ok(Some(descriptors))
            }
            _ => Ok(None),
        }
    }
}

/// Hands everything over to a `run` that waits for it; whether one does.
pub fn hand_over(paths: &Paths, descriptors: Descriptors) -> io::Result<bool> {
    let (_dir, file) = lock::open(paths).map_err(io::Error::other)?;
    // A `run` that gave up leaves a socket on which nobody listens.
    let Ok(stream) = UnixStream::connect(short_path(&file)) else { return Ok(false) };
    if !is_peer(&stream, paths.uid)? {
        return Ok(false);
    }
    handoff::send(stream.as_fd(), &Message::TakeOver(descriptors))?;
    Ok(true)
}

/// The socket's path by way of the open directory: the directory's own may be too long for a socket.
fn short_path(dir: &impl AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()).into()
}

fn is_peer(stream: &UnixStream, uid: u32) -> io::Result<bool> {
    Ok(getsockopt(stream, sockopt::PeerCredentials)?.uid() == uid)
}
