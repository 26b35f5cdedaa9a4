//! A server that answers by a script, byte for byte, and remembers all it was told.
//!
//! It plays what real registries cannot: other people's registries, faults and attacks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// One request, as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// `GET https://host/path?query`, the scheme by which it came.
    pub(crate) line: String,
    /// Header names, lower-case, and values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A running script; it ends with the value.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    bytes: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::JoinHandle<()>,
}

/// The answer to a request: bytes that are sent before the connection is closed.
pub(crate) type Script = dyn Fn(&Heard) -> Vec<u8> + Send + Sync;

impl Scripted {
    /// Listens on `address` and answers by `script`, over TLS where there is an acceptor.
    pub(crate) async fn start(
        address: &str,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Heard) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, bytes) = (Arc::default(), Arc::default());
        let host =
            Host { script: Arc::new(script), heard: Arc::clone(&heard), bytes: Arc::clone(&bytes) };
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (host, tls) = (host.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => host.answer("http", stream).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => host.answer("https", stream).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, heard, bytes, task }
    }

    /// What was asked so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The lines of what was asked so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.line).collect()
    }

    /// Every byte that came, behind TLS where there is any.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Host {
    script: Arc<Script>,
    heard: Arc<Mutex<Vec<Heard>>>,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Host {
    async fn answer(
        &self,
        scheme: &str,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> Option<()> {
        let mut come = Vec::new();
        let heard = loop {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).await.ok()?;
            come.extend_from_slice(&buffer[..length]);
            self.bytes.lock().unwrap().extend_from_slice(&buffer[..length]);
            match parse(scheme, &come) {
                Some(heard) => break heard,
                None if length == 0 => return None,
                None => {}
            }
        };
        self.heard.lock().unwrap().push(heard.clone());
        stream.write_all(&(self.script)(&heard)).await.ok()?;
        stream.shutdown().await.ok()
    }
}

/// A whole request, or nothing yet.
fn parse(scheme: &str, come: &[u8]) -> Option<Heard> {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut slots);
    let httparse::Status::Complete(length) = request.parse(come).ok()? else { return None };
    let headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|it| (it.name.to_ascii_lowercase(), String::from_utf8_lossy(it.value).into_owned()))
        .collect();
    let mut heard = Heard { headers, ..Heard::default() };
    let wanted = heard.header("content-length").map_or(0, |it| it.parse().unwrap());
    let body = &come[length..];
    if body.len() < wanted {
        return None;
    }
    heard.body = String::from_utf8_lossy(body).into_owned();
    let host = heard.header("host").unwrap_or_default();
    heard.line = format!("{} {scheme}://{host}{}", request.method?, request.path?);
    Some(heard)
}

/// A response with a body.
pub(crate) fn reply(status: u16, headers: &[&str], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Status\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// A response with a JSON body.
pub(crate) fn json(status: u16, headers: &[&str], body: &str) -> Vec<u8> {
    reply(status, &[&["Content-Type: application/json"], headers].concat(), body)
}
