//! A server that responds by a script and records every byte it receives, for what real registries
//! cannot do on demand: the behaviour of public registries, faults and attacks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request as received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReceivedRequest {
    /// `GET https://host/path?query`, with the scheme of the connection.
    pub(crate) line: String,
    /// Header names, lower-case, and values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl ReceivedRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A running script, stopped on drop.
pub(crate) struct ScriptedRegistry {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<ReceivedRequest>>>,
    bytes: Arc<Mutex<Vec<u8>>>,
    sent: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// A response; the connection is closed after it.
pub(crate) enum ScriptedResponse {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, then endless zeros.
    Endless(Vec<u8>),
    /// These bytes, then a zero from time to time.
    Drip(Vec<u8>),
}

impl From<Vec<u8>> for ScriptedResponse {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

type Script = dyn Fn(&ReceivedRequest) -> ScriptedResponse + Send + Sync;

impl ScriptedRegistry {
    /// Listens on `address` and responds by `script`, over TLS if there is an acceptor.
    pub(crate) async fn start<P: Into<ScriptedResponse>>(
        address: &str,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&ReceivedRequest) -> P + Send + Sync + 'static,
    ) -> Self {
        Self::try_start(address, tls, script).await.expect("the address is free")
    }

    /// The same; `None` while another server listens on `address`.
    pub(crate) async fn try_start<P: Into<ScriptedResponse>>(
        address: &str,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&ReceivedRequest) -> P + Send + Sync + 'static,
    ) -> Option<Self> {
        let listener = TcpListener::bind(address).await.ok()?;
        let address = listener.local_addr().unwrap();
        let (heard, bytes, sent) = (Arc::default(), Arc::default(), Arc::default());
        let script = move |heard: &ReceivedRequest| script(heard).into();
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
        Some(Self { address, heard, bytes, sent, task })
    }

    /// The requests so far.
    pub(crate) fn heard(&self) -> Vec<ReceivedRequest> {
        self.heard.lock().unwrap().clone()
    }

    /// The request lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.line).collect()
    }

    /// The number of endless zeros that the client read.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Every received byte, decrypted.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

impl Drop for ScriptedRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Enough to count as endless.
const ENDLESS: usize = 1 << 30;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

#[derive(Clone)]
struct Host {
    sent: Arc<AtomicUsize>,
    script: Arc<Script>,
    heard: Arc<Mutex<Vec<ReceivedRequest>>>,
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
                // Anything but HTTP, such as TLS, gets the response that servers give.
                Err(_) => {
                    stream.write_all(&reply(400, &[], "")).await.ok()?;
                    return stream.shutdown().await.ok();
                }
            }
        };
        self.heard.lock().unwrap().push(heard.clone());
        match (self.script)(&heard) {
            ScriptedResponse::Bytes(bytes) => stream.write_all(&bytes).await.ok()?,
            ScriptedResponse::Endless(start) => {
                stream.write_all(&start).await.ok()?;
                for _ in 0..ENDLESS / ZEROS.len() {
                    stream.write_all(&ZEROS).await.ok()?;
                    self.sent.fetch_add(ZEROS.len(), Ordering::Relaxed);
                }
            }
            ScriptedResponse::Drip(start) => {
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

/// A complete request, or nothing yet.
fn parse(scheme: &str, come: &[u8]) -> Result<Option<ReceivedRequest>, httparse::Error> {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut slots);
    let httparse::Status::Complete(length) = request.parse(come)? else { return Ok(None) };
    let headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|it| (it.name.to_ascii_lowercase(), String::from_utf8_lossy(it.value).into_owned()))
        .collect();
    let mut heard = ReceivedRequest { headers, ..ReceivedRequest::default() };
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
