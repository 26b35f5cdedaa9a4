//! Asking the agent: HTTP/1.0 over its Unix socket, one request a connection.
//!
//! Blocking and small, because the credential helper is a process that asks one question. HTTP/1.0,
//! because then the end of the connection is the end of the answer, for a stream of events too.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use serde::de::DeserializeOwned;
use thiserror::Error;
use zeroize::Zeroizing;

use super::clock;
use super::lock;
use super::paths::Paths;
use crate::wire::api::ProblemDocument;

/// Nobody waits longer than this for a place in an agent's queue.
const LONGEST_CONNECT: Duration = Duration::from_mins(1);
/// The status of an agent that ends before it could answer.
const STOPPING_STATUS: u16 = 503;
/// An answer is never longer; a status of a thousand logins is a tenth of it.
const RESPONSE_LIMIT: u64 = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No agent answers on any socket.
    #[error("no agent is running")]
    NoAgent,
    /// An agent answers that is not this user's.
    #[error("the agent at {} belongs to uid {uid}, not to the current user", socket.display())]
    NotOurs {
        /// Its socket.
        socket: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// The agent refused the request.
    #[error("{}", problem_text(.0))]
    Refused(Box<ProblemDocument>),
    /// It took too long.
    #[error("the agent did not respond in time")]
    TimedOut,
    /// The response is not HTTP.
    #[error("the agent's response cannot be parsed: {0}")]
    Garbled(String),
    /// The connection broke.
    #[error("the connection to the agent failed: {0}")]
    Broken(#[from] io::Error),
}

fn problem_text(problem: &ProblemDocument) -> String {
    let mut text = problem.detail.clone().unwrap_or_else(|| problem.title.clone());
    if let Some(hint) = &problem.hint {
        text.push_str("; ");
        text.push_str(hint);
    }
    text
}

/// A way to the agent, open for one request.
#[derive(Debug)]
pub struct AgentClient {
    socket: PathBuf,
    stream: UnixStream,
    deadline: Instant,
}

/// An answer whose head was read.
pub struct AgentResponse {
    status: u16,
    body: BufReader<io::Take<DeadlineStream>>,
}

impl AgentClient {
    /// Connects to the first socket on which an agent listens that is this user's own, or root's, or
    /// when root asks: whoever gets a secret or is trusted with an answer must not be a foreign user. The
    /// whole exchange ends within `timeout`.
    pub fn connect(paths: &Paths, timeout: Duration) -> Result<Self, ClientError> {
        let mut foreign = None;
        for client in Self::all(paths, timeout) {
            let uid = client.uid()?;
            let us = nix::unistd::geteuid().as_raw();
            if uid == us || uid == 0 || us == 0 {
                return Ok(client);
            }
            foreign.get_or_insert(ClientError::NotOurs { socket: client.socket, uid });
        }
        Err(foreign.unwrap_or(ClientError::NoAgent))
    }

    /// Connects to the first socket on which any agent listens, for what is no secret.
    pub fn connect_to_any(paths: &Paths, timeout: Duration) -> Result<Self, ClientError> {
        Self::connect(paths, timeout).or_else(|error| Self::all(paths, timeout).next().ok_or(error))
    }

    fn all(paths: &Paths, timeout: Duration) -> impl Iterator<Item = Self> {
        let deadline = deadline(timeout);
        let mut sockets = paths.sockets();
        sockets.extend(lock::noted_socket(paths).filter(|noted| !sockets.contains(noted)));
        sockets.into_iter().filter_map(move |socket| {
            let stream = open(&socket, timeout).ok()?;
            Some(Self { socket, stream, deadline })
        })
    }

    fn uid(&self) -> Result<u32, ClientError> {
        let peer = getsockopt(&self.stream, sockopt::PeerCredentials).map_err(io::Error::from)?;
        Ok(peer.uid())
    }

    /// Sends a request and reads the head of the answer.
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
        stream.write_all(&request).map_err(map_timeout)?;
        let mut body = BufReader::new(stream.take(RESPONSE_LIMIT));
        let status = read_head(&mut body)?;
        Ok(AgentResponse { status, body })
    }
}

impl AgentResponse {
    /// The whole answer as JSON, or the problem the agent states.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let body = self.bytes()?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Garbled(error.to_string()))
    }

    /// The whole answer, or the problem the agent states.
    pub fn bytes(mut self) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let mut body = Zeroizing::new(Vec::new());
        self.body.read_to_end(&mut body).map_err(map_timeout)?;
        if (200..300).contains(&self.status) {
            return Ok(body);
        }
        match serde_json::from_slice::<ProblemDocument>(&body) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(ClientError::Garbled(format!("status {}", self.status))),
        }
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

/// Asks one question, again when the agent was just being replaced: every request of the API may be
/// repeated. Waits for the answer no longer than `timeout`.
pub fn ask(
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
        let answer = AgentClient::connect(paths, remaining)?
            .send(method, target, body)
            .and_then(AgentResponse::bytes);
        match answer {
            // An agent that the request itself ends must not be ended by it for ever.
            Err(ClientError::Broken(_)) if broken < 5 => broken += 1,
            Err(ClientError::Refused(problem))
                if problem.status == STOPPING_STATUS && !remaining.is_zero() =>
            {
                // Its successor listens on the same socket in a moment.
                clock::pause(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

/// Connects within `timeout`: the queue of an agent that hangs may be full, and connect(2) waits for
/// room in it as long as a send may take (`SO_SNDTIMEO`, socket(7)).
fn open(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // Nothing, to the kernel, would be for ever.
    let timeout = timeout.clamp(Duration::from_millis(1), LONGEST_CONNECT);
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or_default();
    let timeout = TimeVal::new(seconds, timeout.subsec_micros().into());
    setsockopt(&fd, sockopt::SendTimeout, &timeout)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(fd))
}

fn read_head(stream: &mut impl BufRead) -> Result<u16, ClientError> {
    let mut head = Vec::new();
    loop {
        if stream.read_until(b'\n', &mut head).map_err(map_timeout)? == 0 {
            return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&head) {
            Ok(httparse::Status::Complete(_)) => return Ok(response.code.unwrap_or_default()),
            Ok(httparse::Status::Partial) if head.len() < 16 * 1024 => {}
            Ok(httparse::Status::Partial) => {
                return Err(ClientError::Garbled("an endless head".to_owned()));
            }
            Err(error) => return Err(ClientError::Garbled(error.to_string())),
        }
    }
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

/// A stream whose every read and write ends by the deadline, so that a slow drip ends too.
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

#[cfg(test)]
mod tests {
    use nix::sys::socket::{Backlog, bind, listen};

    use super::*;

    #[test]
    fn waiting_for_a_full_queue_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let hung = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(hung.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&hung, Backlog::new(0).unwrap()).unwrap();
        let timeout = Duration::from_millis(50);
        let waiting: Vec<_> = (0..8).map(|_| open(&path, timeout)).collect();
        assert!(waiting[0].is_ok(), "there is room for one");
        assert!(waiting[7].is_err(), "and not for everybody");
    }
}
