//! Client for the agent's API: HTTP/1.0 over its Unix socket, one request per connection.
//!
//! It is blocking and small, because the credential helper is a process that sends one request. In
//! HTTP/1.0 the end of the connection is the end of the response, even for a stream of events.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt,
};
use nix::unistd::geteuid;
use zeroize::Zeroizing;

pub use self::error::ClientError;
pub use self::response::AgentResponse;
use self::response::DeadlineStream;

use super::clock;
use super::lock;
use super::paths::{Paths, SYSTEM_RUNTIME_DIR};
use super::{config, passwd, user_namespace};
use crate::domain::reasons::AgentReason;

mod error;
mod response;

/// The pause before another connection attempt when the queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);
/// The status of an agent that stops before it can respond.
const STOPPING_STATUS: u16 = 503;
/// A connection to the agent for one request.
#[derive(Debug)]
pub struct AgentClient {
    socket: PathBuf,
    stream: UnixStream,
    deadline: Instant,
}

impl AgentClient {
    /// Connects to this user's agent; root may also use that of the configured user. Secrets must
    /// not go to a foreign user's agent, and its responses are not trusted. Connecting and the
    /// request must end within `timeout`.
    pub fn connect(paths: &Paths, timeout: Duration) -> Result<Self, ClientError> {
        let uid = geteuid().as_raw();
        if user_namespace::is_overflow(uid) {
            return Err(ClientError::SharedUid(Box::new(AgentReason::SharedUid { uid })));
        }
        Self::connect_if(paths, timeout, |_, uid| is_trusted(paths, uid))
    }

    /// Connects to this user's agent, or else to any on a socket that the user or root chose, for
    /// requests without secrets. In other directories anybody may imitate an agent.
    pub fn connect_to_any(paths: &Paths, timeout: Duration) -> Result<Self, ClientError> {
        Self::connect(paths, timeout).or_else(|error| match error {
            ClientError::NotOurs { .. } => Self::connect_if(paths, timeout, |socket, uid| {
                is_chosen(paths, socket) || is_trusted(paths, uid)
            }),
            other => Err(other),
        })
    }

    /// Connects to the agent of that user.
    pub fn connect_to_user(user: &passwd::User, timeout: Duration) -> Result<Self, ClientError> {
        Self::connect_if(&Paths::of_user(user), timeout, |_, uid| uid == user.uid)
    }

    /// Connects to the first agent to respond whose socket and user are accepted.
    fn connect_if(
        paths: &Paths,
        timeout: Duration,
        is_accepted: impl Fn(&Path, u32) -> bool,
    ) -> Result<Self, ClientError> {
        let deadline = deadline(timeout);
        let mut foreign = None;
        let mut clients = Self::on(&candidates(paths), deadline, &is_accepted, &mut foreign)?;
        if clients.is_empty() {
            // Looked up only now, because the file system of the configuration may hang.
            let theirs = configured_user(paths).map(|user| candidates(&Paths::of_user(&user)));
            let theirs = theirs.unwrap_or_default();
            clients = Self::on(&theirs, deadline, &is_accepted, &mut foreign)?;
        }
        first_to_answer(clients).ok_or_else(|| foreign.unwrap_or(ClientError::NoAgent))
    }

    /// Connects to every socket with an accepted listener. One with another goes to `foreign`.
    fn on(
        sockets: &[PathBuf],
        deadline: Instant,
        is_accepted: &impl Fn(&Path, u32) -> bool,
        foreign: &mut Option<ClientError>,
    ) -> Result<Vec<Self>, ClientError> {
        loop {
            let (mut clients, mut is_busy) = (Vec::new(), false);
            for path in sockets {
                let (client, uid) = match open(path) {
                    Ok(stream) => {
                        let client = Self { socket: path.clone(), stream, deadline };
                        let uid = client.uid().ok();
                        (Some(client), uid)
                    }
                    // The kernel does not tell who listens, but the owner of the file created the socket.
                    Err(Errno::EAGAIN) => (None, fs::metadata(path).ok().map(|file| file.uid())),
                    Err(_) => continue,
                };
                match (client, uid) {
                    (client, Some(uid)) if is_accepted(path, uid) => {
                        is_busy |= client.is_none();
                        clients.extend(client);
                    }
                    (_, Some(uid)) => {
                        let socket = path.clone();
                        foreign.get_or_insert(ClientError::NotOurs { socket, uid });
                    }
                    (_, None) => {}
                }
            }
            if !clients.is_empty() || !is_busy {
                return Ok(clients);
            }
            // If an agent hangs, its queue stays full; if it is only slow, the queue empties.
            if deadline.saturating_duration_since(Instant::now()).is_zero() {
                return Err(ClientError::TimedOut);
            }
            clock::pause(QUEUE_PAUSE);
        }
    }

    /// The socket that it is connected to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The user ID that the agent runs as.
    pub fn uid(&self) -> Result<u32, ClientError> {
        let peer = getsockopt(&self.stream, sockopt::PeerCredentials).map_err(io::Error::from)?;
        Ok(peer.uid())
    }

    /// Sends a request and reads the head of the response.
    pub fn send(
        self,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> Result<AgentResponse, ClientError> {
        let mut stream = DeadlineStream::new(self.stream, self.deadline);
        let mut request = Zeroizing::new(
            format!(
                "{method} {target} HTTP/1.0\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            )
            .into_bytes(),
        );
        request.extend_from_slice(body);
        match stream.write_all(&request) {
            // The agent may have refused the request before it received all of it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written.map_err(ClientError::of_stream)?,
        }
        AgentResponse::read(stream)
    }
}

/// Sends a request and retries it if the agent was just being replaced: every request of the API is
/// idempotent. Waits for the response for at most `timeout`.
pub fn ask(
    paths: &Paths,
    method: &str,
    target: &str,
    body: &[u8],
    timeout: Duration,
) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    ask_through(AgentClient::connect, paths, method, target, body, timeout)
}

/// Sends a `GET` for something that is not secret to any user's agent, in the same way.
pub fn ask_any(
    paths: &Paths,
    target: &str,
    timeout: Duration,
) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    ask_through(AgentClient::connect_to_any, paths, "GET", target, b"", timeout)
}

fn ask_through(
    connect: fn(&Paths, Duration) -> Result<AgentClient, ClientError>,
    paths: &Paths,
    method: &str,
    target: &str,
    body: &[u8],
    timeout: Duration,
) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let deadline = deadline(timeout);
    let mut broken = 0;
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let answer =
            connect(paths, remaining)?.send(method, target, body).and_then(AgentResponse::bytes);
        match answer {
            // If the request itself crashes the agent, it must not do so forever.
            Err(ClientError::Broken(_)) if broken < 5 => broken += 1,
            Err(ClientError::Refused(problem))
                if problem.status == STOPPING_STATUS && !remaining.is_zero() =>
            {
                // The next agent listens on the same socket in a moment.
                clock::pause(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

/// The sockets on which the agent may listen, the preferred first.
fn candidates(paths: &Paths) -> Vec<PathBuf> {
    let mut sockets = paths.sockets();
    sockets.extend(lock::noted_socket(paths).filter(|noted| !sockets.contains(noted)));
    sockets
}

/// Root also trusts the agent of the configured user.
fn is_trusted(paths: &Paths, uid: u32) -> bool {
    let is_users =
        || uid == geteuid().as_raw() || configured_user(paths).is_some_and(|user| user.uid == uid);
    !user_namespace::is_overflow(uid) && is_users()
}

/// Whether nobody but the user or root decides who listens there.
fn is_chosen(paths: &Paths, socket: &Path) -> bool {
    paths.has_own_socket() || socket.parent() == Some(Path::new(SYSTEM_RUNTIME_DIR))
}

/// The user whose agent root uses.
fn configured_user(paths: &Paths) -> Option<passwd::User> {
    if !user_namespace::is_root() {
        return None;
    }
    passwd::by_name(&config::user(&paths.config_files())?).ok()?
}

/// Of several agents, the first that responds: one of them may hang.
fn first_to_answer(mut clients: Vec<AgentClient>) -> Option<AgentClient> {
    if clients.len() > 1 {
        let probes: Vec<_> = clients.iter().map(|client| probe(&client.socket)).collect();
        let mut ready: Vec<_> = probes
            .iter()
            .flatten()
            .map(|probe| PollFd::new(probe.as_fd(), PollFlags::POLLIN))
            .collect();
        let left = clients[0].deadline.saturating_duration_since(Instant::now());
        let _ = poll(&mut ready, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        let answers: Vec<bool> = ready.iter().map(|fd| fd.any().unwrap_or_default()).collect();
        drop(ready);
        let mut answers = answers.into_iter();
        let first = probes.iter().position(|p| p.is_some() && answers.next() == Some(true));
        clients.swap(0, first.unwrap_or_default());
    }
    clients.into_iter().next()
}

/// Connects and checks that the agent responds.
fn probe(path: &Path) -> Option<UnixStream> {
    let mut stream = open(path).ok()?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").ok()?;
    Some(stream)
}

/// Connects, unless the queue is full: connect(2) would block until there is room.
fn open(path: &Path) -> nix::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false).map_err(|_| Errno::EIO)?;
    Ok(stream)
}

fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + Duration::from_hours(365 * 24))
}
