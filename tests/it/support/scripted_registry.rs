//! A server that answers by a script, byte for byte, and remembers all it was told.
//!
//! It plays what real registries cannot: other people's registries, faults and attacks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    sent: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// The answer to a request; the connection is closed after it.
pub(crate) enum Play {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, and then zeros without end.
    Endless(Vec<u8>),
    /// These bytes, and then one zero now and then.
    Drip(Vec<u8>),
}

impl From<Vec<u8>> for Play {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

type Script = dyn Fn(&Heard) -> Play + Send + Sync;

impl Scripted {
    /// Listens on `address` and answers by `script`, over TLS where there is an acceptor.
    pub(crate) async fn start<P: Into<Play>>(
        address: &str,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Heard) -> P + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, bytes, sent) = (Arc::default(), Arc::default(), Arc::default());
        let script = move |heard: &Heard| script(heard).into();
        let host = Host {
            script: Arc::new(script),
            heard: Arc::clone(&heard),
            bytes: Arc::clone(&bytes),
            sent: Arc::clone(&sent),
        };
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
        Self { address, heard, bytes, sent, task }
    }

    /// What was asked so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The lines of what was asked so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.line).collect()
    }

    /// How many of endless zeros the other side took.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
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

/// As good as endless: a gigabyte.
const ENDLESS: usize = 1 << 30;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

#[derive(Clone)]
struct Host {
    sent: Arc<AtomicUsize>,
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
                Ok(Some(heard)) => break heard,
                Ok(None) if length == 0 => return None,
                Ok(None) => {}
                // What is no HTTP, TLS for example, is answered as servers do.
                Err(_) => {
                    stream.write_all(&reply(400, &[], "")).await.ok()?;
                    return stream.shutdown().await.ok();
                }
            }
        };
        self.heard.lock().unwrap().push(heard.clone());
        match (self.script)(&heard) {
            Play::Bytes(bytes) => stream.write_all(&bytes).await.ok()?,
            Play::Endless(start) => {
                stream.write_all(&start).await.ok()?;
                for _ in 0..ENDLESS / ZEROS.len() {
                    stream.write_all(&ZEROS).await.ok()?;
                    self.sent.fetch_add(ZEROS.len(), Ordering::Relaxed);
                }
            }
            Play::Drip(start) => {
                stream.write_all(&start).await.ok()?;
                loop {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    stream.write_all(&ZEROS[..1]).await.ok()?;
                    stream.flush().await.ok()?;
                }
            }
        }
        stream.shutdown().await.ok()
    }
}

/// A whole request, or nothing yet.
fn parse(scheme: &str, come: &[u8]) -> Result<Option<Heard>, httparse::Error> {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut slots);
    let httparse::Status::Complete(length) = request.parse(come)? else { return Ok(None) };
    let headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|it| (it.name.to_ascii_lowercase(), String::from_utf8_lossy(it.value).into_owned()))
        .collect();
    let mut heard = Heard { headers, ..Heard::default() };
    let wanted = heard.header("content-length").map_or(0, |it| it.parse().unwrap());
    let body = &come[length..];
    if body.len() < wanted {
        return Ok(None);
    }
    heard.body = String::from_utf8_lossy(body).into_owned();
    let host = heard.header("host").unwrap_or_default();
    let (method, path) = (request.method.unwrap(), request.path.unwrap());
    heard.line = format!("{method} {scheme}://{host}{path}");
    Ok(Some(heard))
}

/// A response with a body.
pub(crate) fn reply(status: u16, headers: &[&str], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().flat_map(|line| [*line, "\r\n"]).collect();
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
