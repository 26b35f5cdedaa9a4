//! A response of the agent, which has to arrive by a deadline.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::ClientError;
use crate::wire::api::ProblemDocument;

/// The maximum size of a response; the status of a thousand logins is a tenth of it.
const SIZE_LIMIT: u64 = 64 * 1024 * 1024;

/// A response whose status line and headers have been read.
pub struct AgentResponse {
    head: ResponseHead,
    body: BufReader<io::Take<DeadlineStream>>,
}

impl AgentResponse {
    pub(super) fn read(stream: DeadlineStream) -> Result<Self, ClientError> {
        let mut body = BufReader::new(stream.take(SIZE_LIMIT));
        let head = read_head(&mut body)?;
        Ok(Self { head, body })
    }

    /// The whole response, or the problem that the agent reports.
    pub fn bytes(mut self) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let mut body = Zeroizing::new(Vec::new());
        self.body.read_to_end(&mut body).map_err(ClientError::of_stream)?;
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
        match self.body.read_line(&mut line).map_err(ClientError::of_stream)? {
            0 => Ok(None),
            _ => Ok(Some(line)),
        }
    }
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
        if stream.read_until(b'\n', &mut head).map_err(ClientError::of_stream)? == 0 {
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

/// A stream with one deadline for all reads and writes, so that a slow drip ends as well.
pub(super) struct DeadlineStream {
    stream: UnixStream,
    deadline: Instant,
}

impl DeadlineStream {
    pub(super) fn new(stream: UnixStream, deadline: Instant) -> Self {
        Self { stream, deadline }
    }

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
