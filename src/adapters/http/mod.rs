//! The one HTTP client: whom it trusts, which proxy it takes, how long it waits.
//!
//! A client is made for each conversation and dropped with it, so no idle connection outlives its
//! use, and no timer runs for one. Making it costs microseconds: what is expensive, the trusted
//! certificates, is kept in [`Http`].

pub(crate) mod connection_fault;
mod extra_roots;
mod proxies;
mod resolver;
mod trust;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, Response, Url};
use zeroize::Zeroizing;

use self::proxies::Proxies;
use self::resolver::SystemResolver;
use self::trust::Trust;
use crate::domain::declarations::source::Variables;
use crate::domain::reasons::connection::ConnectionFault;
use crate::domain::servers::server::Server;

/// What every client shares.
pub struct Http {
    trust: Trust,
    resolver: Arc<SystemResolver>,
    proxies: Proxies,
    limits: Limits,
    /// The servers that answered over TLS, by name: what they were shown there is never said plainly.
    tls: Mutex<HashSet<String>>,
}

/// How long is waited, and for how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For a name, a connection and TLS.
    pub connect: Duration,
    /// For one request, from the name to the last byte of its answer.
    pub step: Duration,
    /// For all requests of one verification.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(6),
            step: Duration::from_secs(10),
            total: Duration::from_secs(20),
        }
    }
}

/// The most that is read of an answer's body, in bytes.
const BODY_CAP: usize = 64 * 1024;

const USER_AGENT: &str = concat!("registry-agent/", env!("CARGO_PKG_VERSION"));

impl Http {
    /// With the usual limits, no proxies, and the system's certificates. Reads nothing yet.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// With the usual limits, and the proxies and certificates that these variables name: `*_PROXY`,
    /// `NO_PROXY`, `SSL_CERT_FILE`, `SSL_CERT_DIR`. The environment of the process does not count.
    pub fn with_environment(environment: &Variables) -> Self {
        Self {
            trust: Trust::of_environment(environment),
            proxies: Proxies::of_environment(environment),
            ..Self::new()
        }
    }

    /// With limits of one's own.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            trust: Trust::default(),
            resolver: Arc::new(SystemResolver::default()),
            proxies: Proxies::default(),
            limits,
            tls: Mutex::default(),
        }
    }

    /// How long is waited.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether `server` has ever answered over TLS.
    pub(crate) fn has_spoken_tls(&self, server: &Server) -> bool {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).contains(server.name())
    }

    /// Notes that `server` has answered over TLS.
    pub(crate) fn note_tls(&self, server: &Server) {
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        tls.insert(server.name().to_owned());
    }

    /// The proxy that a request to `url` takes, without its user and password.
    pub(crate) fn proxy_of(&self, url: &Url) -> Option<String> {
        self.proxies.proxy_of(url)
    }

    /// A client for AWS: trusts what the system trusts, takes the proxies that are set, follows no
    /// redirect. Make one for each exchange, so that its connections end with it.
    pub fn aws_client(&self) -> Result<reqwest::Client, ConnectionFault> {
        self.builder(&[])?.build().map_err(|error| connection_fault::of(&error, None))
    }

    /// A client for `server`, and for its token server. It trusts the certificates of `ca_file` and
    /// of the server's `certs.d` directories too. A loopback server is never asked by a proxy, whose
    /// loopback is another.
    pub(crate) fn client(
        &self,
        server: &Server,
        ca_file: Option<&Path>,
    ) -> Result<RegistryClient<'_>, ConnectionFault> {
        let mut builder = self.builder(&trust::extra(server, ca_file)?)?;
        if server.is_loopback() {
            builder = builder.no_proxy();
        }
        Ok(RegistryClient {
            inner: builder.build().map_err(|error| connection_fault::of(&error, None))?,
            http: self,
            directory: server.authority().to_owned(),
            proxied: !server.is_loopback(),
        })
    }

    fn builder(&self, extra: &[trust::Certificate]) -> Result<ClientBuilder, ConnectionFault> {
        let builder = self.proxies.apply_to(reqwest::Client::builder());
        Ok(builder
            .tls_backend_preconfigured(self.trust.config(extra)?)
            .dns_resolver(Arc::clone(&self.resolver))
            .redirect(Policy::none())
            .connect_timeout(self.limits.connect)
            .pool_idle_timeout(self.limits.total)
            .user_agent(USER_AGENT))
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

/// The host of `url`, and its port where it is not the scheme's own.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A client for one conversation with one registry.
pub(crate) struct RegistryClient<'h> {
    inner: reqwest::Client,
    http: &'h Http,
    directory: String,
    proxied: bool,
}

/// An answer.
pub(crate) struct HttpReply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// The body of an answer, which may be a token.
pub(crate) struct Body {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Whether this is all of it.
    pub(crate) whole: bool,
}

impl Body {
    /// Reads the body up to `cap` bytes.
    pub(crate) async fn read(response: &mut Response, cap: usize) -> reqwest::Result<Self> {
        let mut body = Self { bytes: Zeroizing::new(Vec::new()), whole: true };
        while let Some(chunk) = response.chunk().await? {
            let room = cap - body.bytes.len();
            body.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                body.whole = false;
                break;
            }
        }
        Ok(body)
    }
}

impl RegistryClient<'_> {
    /// The requests' maker.
    pub(crate) fn request(&self) -> &reqwest::Client {
        &self.inner
    }

    /// Sends, and reads the answer to its end or to the cap, within the time of one step.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<HttpReply, ConnectionFault> {
        let request = request.build().map_err(|error| connection_fault::of(&error, None))?;
        let proxy = if self.proxied { self.http.proxy_of(request.url()) } else { None };
        match tokio::time::timeout(self.http.limits.step, self.exchange(request)).await {
            Err(_) => Err(ConnectionFault::TimedOut),
            Ok(Err(error)) => Err(self.fault(&error, proxy)),
            Ok(Ok(reply)) => match proxy {
                Some(proxy) if reply.status == 407 => Err(ConnectionFault::ProxyLogin { proxy }),
                _ => Ok(reply),
            },
        }
    }

    async fn exchange(&self, request: reqwest::Request) -> reqwest::Result<HttpReply> {
        let mut response = self.inner.execute(request).await?;
        let body = Body::read(&mut response, BODY_CAP).await?;
        let status = response.status().as_u16();
        Ok(HttpReply { status, headers: std::mem::take(response.headers_mut()), body })
    }

    fn fault(&self, error: &reqwest::Error, proxy: Option<String>) -> ConnectionFault {
        match connection_fault::of(error, proxy) {
            ConnectionFault::UnknownAuthority { .. } => {
                // The authority may have been added to the system since: the next try looks anew.
                self.http.trust.forget();
                ConnectionFault::UnknownAuthority { directory: self.directory.clone() }
            }
            fault => fault,
        }
    }
}
