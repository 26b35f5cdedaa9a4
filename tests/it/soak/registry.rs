//! A registry whose network and answers fail on demand.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::support::scripted_registry::reply;

/// How the registry fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Up,
    Cut,
    Slow,
    Silent,
    Errors,
    LimitsRate,
    Garbage,
    Halfway,
}

/// A registry on a port of its own.
pub(super) struct FlappingRegistry {
    pub(super) port: u16,
    mode: Arc<Mutex<Mode>>,
}

type Accepts = dyn Fn(&str) -> bool + Send + Sync;

impl FlappingRegistry {
    /// Serves on `address` for as long as the runtime lives. `accepts` judges an `Authorization` header.
    pub(super) fn start(
        address: &str,
        tls: Option<TlsAcceptor>,
        accepts: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let mode = Arc::new(Mutex::new(Mode::Up));
        let shared = Arc::clone(&mode);
        let accepts: Arc<Accepts> = Arc::new(accepts);
        tokio::spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (mode, tls, accepts) = (Arc::clone(&shared), tls.clone(), Arc::clone(&accepts));
                tokio::spawn(async move {
                    if is_cut(&mode).await {
                        return None;
                    }
                    match tls {
                        None => answer(stream, &mode, &*accepts).await,
                        Some(tls) => answer(tls.accept(stream).await.ok()?, &mode, &*accepts).await,
                    }
                });
            }
        });
        Self { port, mode }
    }

    pub(super) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

/// Whether the connection ends at once. Waits while nothing is answered.
async fn is_cut(mode: &Mutex<Mode>) -> bool {
    loop {
        let now = *mode.lock().unwrap();
        match now {
            Mode::Silent => tokio::time::sleep(Duration::from_millis(50)).await,
            Mode::Slow => {
                tokio::time::sleep(Duration::from_millis(700)).await;
                return false;
            }
            Mode::Cut => return true,
            _ => return false,
        }
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mode: &Mutex<Mode>,
    accepts: &Accepts,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        head.extend_from_slice(&buffer[..length]);
        // A client that tries TLS first waits for an answer.
        if !head[0].is_ascii_uppercase() {
            stream.write_all(&reply(400, &[], "")).await.ok()?;
            return stream.shutdown().await.ok();
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let now = *mode.lock().unwrap();
    let whole = reply(200, &[], "{}");
    let bytes = match now {
        Mode::Errors => reply(503, &[], "away"),
        Mode::LimitsRate => reply(429, &["Retry-After: 1"], ""),
        Mode::Garbage => b"\x15\x03\x03\0\x02\x02\x46 this is not HTTP".to_vec(),
        Mode::Halfway => whole[..whole.len() / 2].to_vec(),
        _ if authorization(&head).is_some_and(accepts) => whole,
        _ => reply(401, &["WWW-Authenticate: Basic realm=\"soak\""], ""),
    };
    stream.write_all(&bytes).await.ok()?;
    stream.shutdown().await.ok()
}

fn authorization(head: &str) -> Option<&str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then_some(value.trim())
    })
}
