//! Client for the agent's API: HTTP/1.0 over its Unix socket, one request per connection.
//!
//! It is blocking and small, because the credential helper is a process that sends one request. In
//! HTTP/1.0 the end of the connection is the end of the response, even for a stream of events.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt,
};
use serde::de::DeserializeOwned;
use thiserror::Error;
use zeroize::Zeroizing;

use super::clock;
use super::lock;
use super::paths::Paths;
use super::{config, passwd, user_namespace};
use crate::wire::api::ProblemDocument;

/// The pause before another connection attempt when the queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);
/// The status of an agent that stops before it can respond.
const STOPPING_STATUS: u16 = 503;
/// The maximum size of a response; the status of a thousand logins is a tenth of it.
const RESPONSE_LIMIT: u64 = 64 * 1024 * 1024;

/// Why a request to the agent failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No agent responds on any socket.
    #[error("no agent is running")]
    NoAgent,
    /// The agent that responds belongs to another user.
    #[error("the agent at {} belongs to uid {uid}, not to the current user", socket.display())]
    NotOurs {
        /// The path of its socket.
        socket: PathBuf,
        /// The user ID that it runs as.
        uid: u32,
    },
    /// The agent refused the request.
    #[error("{}", problem_text(.0))]
    Refused(Box<ProblemDocument>),
    /// The agent did not respond within the time limit.
    #[error("the agent did not respond in time")]
    TimedOut,
    /// The response is not one of an agent of this version.
    #[error("the agent's response is not understood ({0})")]
    Garbled(String),
    /// The connection failed.
    #[error("the connection to the agent failed: {0}")]
    Broken(#[from] io::Error),
}

impl ClientError {
    /// The content of a response has another form than expected.
    pub fn unexpected_json() -> Self {
        Self::Garbled("not the expected JSON".to_owned())
    }
}

fn problem_text(problem: &ProblemDocument) -> String {
    let mut text = problem.detail.clone().unwrap_or_else(|| problem.title.clone());
    if let Some(hint) = &problem.hint {
        text.push_str("; ");
        text.push_str(hint);
    }
    text
}

/// A connection to the agent for one request.
#[derive(Debug)]
pub struct AgentClient {
    socket: PathBuf,
    stream: UnixStream,
    deadline: Instant,
}

/// A response whose status line and headers have been read.
pub struct AgentResponse {
    head: ResponseHead,
    body: BufReader<io::Take<DeadlineStream>>,
}

impl AgentClient {
    /// Connects to this user's agent; root may also use that of the configured user. Secrets must
    /// not go to a foreign user's agent, and its responses are not trusted. Connecting and the
    /// request must end within `timeout`.
    pub fn connect(paths: &Paths, timeout: Duration) -> Result<Self, ClientError> {
        let mut foreign = None;
        let (trusted, others) = Self::all(paths, timeout)?.into_iter().partition(|client| {
            let trusted = client.uid().is_ok_and(|uid| is_trusted(paths, uid));
            if let (false, None, Ok(uid)) = (trusted, &foreign, client.uid()) {
                foreign = Some(ClientError::NotOurs { socket: client.socket.clone(), uid });
            }
            trusted
        });
        drop::<Vec<_>>(others);
        first_to_answer(trusted).ok_or_else(|| foreign.unwrap_or(ClientError::NoAgent))
    }

    /// Connects to any agent, for requests without secrets.
    pub fn connect_to_any(paths: &Paths, timeout: Duration) -> Result<Self, ClientError> {
        Self::connect(paths, timeout).or_else(|error| match error {
            ClientError::NotOurs { .. } => {
                first_to_answer(Self::all(paths, timeout)?).ok_or(ClientError::NoAgent)
            }
            other => Err(other),
        })
    }

    /// Connects to every candidate socket that has a listener.
    fn all(paths: &Paths, timeout: Duration) -> Result<Vec<Self>, ClientError> {
        let deadline = deadline(timeout);
        let clients = Self::on(&candidates(paths), deadline)?;
        if !clients.is_empty() {
            return Ok(clients);
        }
        // Looked up only now, because the file system of the configuration may hang.
        let theirs = configured_user(paths).map(|user| candidates(&Paths::of_user(&user)));
        Self::on(&theirs.unwrap_or_default(), deadline)
    }

    fn on(sockets: &[PathBuf], deadline: Instant) -> Result<Vec<Self>, ClientError> {
        loop {
            let (mut clients, mut is_busy) = (Vec::new(), false);
            for socket in sockets {
                match open(socket) {
                    Ok(stream) => {
                        clients.push(Self { socket: socket.clone(), stream, deadline });
                    }
                    Err(Errno::EAGAIN) => is_busy = true,
                    Err(_) => {}
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
        let mut stream = DeadlineStream { stream: self.stream, deadline: self.deadline };
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
            written => written.map_err(map_timeout)?,
        }
        let mut body = BufReader::new(stream.take(RESPONSE_LIMIT));
        let head = read_head(&mut body)?;
        Ok(AgentResponse { head, body })
    }
}

impl AgentResponse {
    /// The whole response as JSON, or the problem that the agent reports.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let body = self.bytes()?;
        // The message of serde could contain a value.
        serde_json::from_slice(&body).map_err(|_| ClientError::unexpected_json())
    }

    /// The whole response, or the problem that the agent reports.
    pub fn bytes(mut self) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let mut body = Zeroizing::new(Vec::new());
        self.body.read_to_end(&mut body).map_err(map_timeout)?;
        let ResponseHead { status, length } = self.head;
        if length.is_some_and(|length| length != body.len()) {
            return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        if (200..300).contains(&status) {
            return Ok(body);
        }
        match serde_json::from_slice::<ProblemDocument>(&body) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(ClientError::Garbled(format!("HTTP status {status}"))),
        }
    }

    /// The response if the request succeeded, or the problem that the agent reports.
    pub fn succeeded(self) -> Result<Self, ClientError> {
        if (200..300).contains(&self.head.status) {
            return Ok(self);
        }
        Err(self.bytes().err().unwrap_or(ClientError::Garbled(String::new())))
    }

    /// The next line of a stream; `None` at its end.
    pub fn line(&mut self) -> Result<Option<String>, ClientError> {
        let mut line = String::new();
        match self.body.read_line(&mut line).map_err(map_timeout)? {
            0 => Ok(None),
            _ => Ok(Some(line)),
        }
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
    uid == nix::unistd::geteuid().as_raw()
        || configured_user(paths).is_some_and(|user| user.uid == uid)
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

/// The parts of a response's head that are used.
struct ResponseHead {
    status: u16,
    /// The size of the body, if it is known.
    length: Option<usize>,
}

fn read_head(stream: &mut impl BufRead) -> Result<ResponseHead, ClientError> {
    let mut head = Vec::new();
    loop {
        if stream.read_until(b'\n', &mut head).map_err(map_timeout)? == 0 {
            return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                let status = response.code.unwrap_or_default();
                return Ok(ResponseHead { status, length: content_length(response.headers) });
            }
            Ok(httparse::Status::Partial) if head.len() < 16 * 1024 => {}
            Ok(httparse::Status::Partial) => {
                return Err(ClientError::Garbled("the response header is too large".to_owned()));
            }
            Err(error) => return Err(ClientError::Garbled(error.to_string())),
        }
    }
}

fn content_length(headers: &[httparse::Header<'_>]) -> Option<usize> {
    let header =
        headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    std::str::from_utf8(header.value).ok()?.trim().parse().ok()
}

fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + Duration::from_hours(365 * 24))
}

fn map_timeout(error: io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut,
        _ => ClientError::Broken(error),
    }
}

/// A stream with one deadline for all reads and writes, so that a slow drip ends as well.
struct DeadlineStream {
    stream: UnixStream,
    deadline: Instant,
}

impl DeadlineStream {
    fn remaining(&self) -> io::Result<Duration> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            remaining => Ok(remaining),
        }
    }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.remaining()?))?;
        self.stream.read(buffer)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.remaining()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
