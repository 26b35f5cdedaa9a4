//! A client's connection: it ends if the client does not read, and every error on it is a problem
//! document.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::Sleep;

use super::error::ApiError;

/// How long a client may leave a response unread once the socket's buffer is full.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A stream for hyper.
pub struct ClientStream {
    stream: UnixStream,
    /// Whether the client has sent something since the last response.
    is_requesting: bool,
    /// Ends the connection; set while the client does not read.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    /// The stream of a new connection.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, is_requesting: false, stalled: None }
    }

    /// Sends this response, unless the client has not sent anything that needs one. The connection
    /// ends after it.
    pub fn refuse(&mut self, problem: &ApiError) {
        if std::mem::take(&mut self.is_requesting) {
            // A client that does not read it only sees that the connection is closed.
            let _ = self.stream.try_write(&problem.to_http());
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.is_requesting |= buffer.filled().len() > before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(problem) = problem_instead_of(bytes) {
            self.refuse(&problem);
            return Poll::Ready(Ok(bytes.len()));
        }
        if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, bytes) {
            (self.stalled, self.is_requesting) = (None, false);
            return Poll::Ready(written);
        }
        let end = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        ready!(end.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// hyper itself responds to what it cannot parse, without a body. All responses of the agent have a
/// content type.
fn problem_instead_of(response: &[u8]) -> Option<ApiError> {
    let status = response.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let status = StatusCode::from_bytes(status).ok()?;
    let has_type =
        || response.windows(14).any(|text| text.eq_ignore_ascii_case(b"\r\ncontent-type"));
    (status.is_client_error() && !has_type()).then(|| ApiError::not_parsed(status))
}
