//! The HTTP client for registries and AWS: trusted certificates, proxies and time limits.
//!
//! A client is created for each conversation and dropped with it, so no idle connection and no
//! timer outlives its use. That costs microseconds: the expensive part, the trusted certificates,
//! is shared in [`Http`].

mod client_trust;
pub(crate) mod connection_fault;
mod extra_roots;
pub(crate) mod proxies;
mod resolver;
mod tls_server;
mod trust;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, Response, Url};
use tokio::net::TcpStream;
use url::Host;
use zeroize::Zeroizing;

use self::proxies::{Proxies, UsedProxy};
use self::resolver::SystemResolver;
use self::trust::{ClientTrustRequest, Trust};
use super::own_thread;
use crate::domain::declarations::source::Variables;
use crate::domain::reasons::connection::ConnectionFault;
use crate::domain::servers::package_server::PackageServer;
use crate::domain::servers::registry_server::RegistryServer;
use crate::domain::servers::server::{Scheme, Server};

/// The state that all clients share.
pub struct Http {
    trust: Arc<Trust>,
    /// What clients trust, whose environment may lack `SSL_CERT_FILE`.
    trust_of_clients: Arc<Trust>,
    resolver: Arc<SystemResolver>,
    proxies: Proxies,
    limits: Limits,
    /// The servers that have responded, and whether they ever did over TLS. Credentials never go to
    /// those in plain text.
    spoke_tls: Arc<Mutex<HashMap<String, bool>>>,
}

/// The time limits of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The limit for DNS lookup, connection and TLS handshake.
    pub connect: Duration,
    /// The limit for one request, from DNS lookup to the last byte of the response.
    pub step: Duration,
    /// The limit for all requests of one verification.
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

/// How long a server that did not complete a TLS handshake may take to accept another connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The maximum size of a response body that is read, in bytes.
const BODY_CAP: usize = 64 * 1024;

const USER_AGENT: &str = concat!("registry-agent/", env!("CARGO_PKG_VERSION"));

impl Http {
    /// Uses the default limits, no proxies, and the system's certificates. Reads no file yet.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// Uses the default limits, and the proxies and certificates in these variables: `*_PROXY`,
    /// `NO_PROXY`, `SSL_CERT_FILE`, `SSL_CERT_DIR`. Ignores the environment of the process.
    pub fn with_environment(environment: &Variables) -> Self {
        Self {
            trust: Arc::new(Trust::of_environment(environment)),
            proxies: Proxies::of_environment(environment),
            ..Self::new()
        }
    }

    /// Remembers which servers have spoken TLS to `before`, also those that will.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        self.spoke_tls = Arc::clone(&before.spoke_tls);
        self
    }

    /// Uses the given limits.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            trust: Arc::default(),
            trust_of_clients: Arc::default(),
            resolver: Arc::new(SystemResolver::default()),
            proxies: Proxies::default(),
            limits,
            spoke_tls: Arc::default(),
        }
    }

    /// The time limits of requests.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether `server` has ever responded over TLS.
    pub(crate) fn has_spoken_tls(&self, server: &Server) -> bool {
        self.transport_of(server) == Some(true)
    }

    /// Records that `server` has responded, over TLS or not.
    pub(crate) fn note_response(&self, server: &Server, is_tls: bool) {
        let mut spoke_tls = self.spoke_tls.lock().unwrap_or_else(PoisonError::into_inner);
        *spoke_tls.entry(server.name().to_owned()).or_default() |= is_tls;
    }

    fn transport_of(&self, server: &Server) -> Option<bool> {
        let spoke_tls = self.spoke_tls.lock().unwrap_or_else(PoisonError::into_inner);
        spoke_tls.get(server.name()).copied()
    }

    /// The proxy for a request to `url`.
    pub(crate) fn proxy_of(&self, url: &Url) -> Option<UsedProxy> {
        self.proxies.proxy_of(url)
    }

    /// The address of the proxy for requests to this registry.
    pub(crate) fn proxy_for(&self, server: &RegistryServer) -> Option<String> {
        self.proxy_of(&proxied_url(server)?).map(|proxy| proxy.address)
    }

    /// Whether the first request to this registry takes another proxy than with `before`, or trusts other
    /// certificates.
    pub(crate) fn reaches_otherwise(&self, before: &Self, server: &RegistryServer) -> bool {
        let proxied = proxied_url(server);
        let proxy_differs = proxied.is_some_and(|url| self.proxies.differ(&before.proxies, &url));
        let is_plain = match server {
            RegistryServer::Container(server) if server.scheme() == Scheme::Unstated => {
                before.transport_of(server) == Some(false)
            }
            server => server.transport() == Some("http"),
        };
        proxy_differs || (!is_plain && !self.trust.reads_the_same(&before.trust))
    }

    /// A client for AWS: uses the system's certificates and the configured proxies, and follows no
    /// redirect. Create one for each exchange, so that its connections end with it.
    pub fn aws_client(&self) -> Result<reqwest::Client, ConnectionFault> {
        let client = self.builder(self.trust.config(&[])?).build();
        client.map_err(|error| connection_fault::of(&error, None))
    }

    /// A client for a registry and its token server. It also trusts the certificates in `ca_file` and
    /// in the registry's `certs.d` directories. It uses no proxy for a loopback host, because the
    /// proxy's loopback is another machine.
    pub(crate) async fn client(
        &self,
        host: &RegistryHost,
        ca_file: Option<&Path>,
    ) -> Result<RegistryClient<'_>, ConnectionFault> {
        let rejected = Arc::new(AtomicBool::new(false));
        let request = ClientTrustRequest {
            agent: Arc::clone(&self.trust),
            clients: Arc::clone(&self.trust_of_clients),
            names: host.names.clone(),
            ca_file: ca_file.map(Path::to_owned),
            rejected: Arc::clone(&rejected),
        };
        let own_file = request.own_file().map(Path::to_owned);
        let what = format!("{} {own_file:?}", host.names.join(" "));
        let read = own_thread::run(what, self.limits.connect, move || request.read()).await;
        let config = read.unwrap_or_else(|| Err(trust::no_response(own_file.as_deref())))?;
        let mut builder = self.builder(config);
        if host.is_loopback {
            builder = builder.no_proxy();
        }
        Ok(RegistryClient {
            inner: builder.build().map_err(|error| connection_fault::of(&error, None))?,
            own_file,
            rejected_by_clients: rejected,
            http: self,
            directory: host.authority.clone(),
            proxied: !host.is_loopback,
        })
    }

    fn builder(&self, tls: rustls::ClientConfig) -> ClientBuilder {
        let builder = self.proxies.apply_to(reqwest::Client::builder());
        builder
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::clone(&self.resolver))
            .redirect(Policy::none())
            .connect_timeout(self.limits.connect)
            .pool_idle_timeout(self.limits.total)
            .user_agent(USER_AGENT)
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

/// The URL of this registry, unless no proxy is asked for it.
fn proxied_url(server: &RegistryServer) -> Option<Url> {
    let host = match server {
        RegistryServer::Container(server) => RegistryHost::from(server),
        RegistryServer::Package(server) => RegistryHost::from(server),
    };
    let scheme = server.transport().unwrap_or("https");
    let url = Url::parse(&format!("{scheme}://{}/", host.authority)).ok()?;
    (!host.is_loopback).then_some(url)
}

/// The host of `url`, with the port if it is not the scheme's default.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The host of a registry, as far as its clients are concerned.
pub(crate) struct RegistryHost {
    authority: String,
    /// The names of its `certs.d` directories.
    names: Vec<String>,
    is_loopback: bool,
}

impl From<&Server> for RegistryHost {
    fn from(server: &Server) -> Self {
        let mut names = server.keys();
        names.push(server.authority().to_owned());
        names.push(format!("{}:{}", server.host(), server.port()));
        let is_loopback = server.is_loopback();
        Self { authority: server.authority().to_owned(), names, is_loopback }
    }
}

impl From<&PackageServer> for RegistryHost {
    fn from(server: &PackageServer) -> Self {
        let authority = server.authority().to_owned();
        let names = vec![authority.clone(), format!("{}:{}", server.host(), server.port())];
        Self { authority, names, is_loopback: server.is_loopback() }
    }
}

/// A client for one conversation with one registry.
pub(crate) struct RegistryClient<'h> {
    inner: reqwest::Client,
    /// The file of authorities that the agent reads and clients do not.
    own_file: Option<PathBuf>,
    /// Whether clients would reject a certificate that was accepted.
    rejected_by_clients: Arc<AtomicBool>,
    http: &'h Http,
    directory: String,
    proxied: bool,
}

/// A response with its body.
pub(crate) struct HttpReply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// The body of a response, which may contain a token.
pub(crate) struct Body {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Whether the body is complete.
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
    /// The file without which a certificate would have been rejected, and which clients do not read.
    pub(crate) fn file_that_clients_lack(&self) -> Option<&Path> {
        let rejected = self.rejected_by_clients.load(Ordering::Relaxed);
        self.own_file.as_deref().filter(|_| rejected)
    }

    /// The underlying client, which builds requests.
    pub(crate) fn request(&self) -> &reqwest::Client {
        &self.inner
    }

    /// Sends a request and reads the response up to the size limit, within the time limit of one
    /// step.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<HttpReply, ConnectionFault> {
        let request = request.build().map_err(|error| connection_fault::of(&error, None))?;
        let proxy = if self.proxied { self.http.proxy_of(request.url()) } else { None };
        let (url, is_direct) = (request.url().clone(), proxy.is_none());
        match tokio::time::timeout(self.http.limits.step, self.exchange(request)).await {
            // Connecting has a shorter limit.
            Err(_) if is_direct => Err(ConnectionFault::Silent { in_tls: false }),
            Err(_) => Err(ConnectionFault::TimedOut),
            Ok(Err(error)) => match self.fault(&error, proxy) {
                ConnectionFault::TimedOut if is_direct && self.is_silent(&url).await => {
                    Err(ConnectionFault::Silent { in_tls: true })
                }
                fault => Err(fault),
            },
            Ok(Ok(reply)) => match proxy {
                Some(proxy) if reply.status == 407 => Err(connection_fault::proxy_login(proxy)),
                _ => Ok(reply),
            },
        }
    }

    /// Whether the server accepts connections although it did not complete a TLS handshake in time.
    async fn is_silent(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return false;
        };
        let connect = async {
            let addresses = match host {
                Host::Domain(name) => self.http.resolver.addresses(name).await,
                Host::Ipv4(address) => vec![address.into()],
                Host::Ipv6(address) => vec![address.into()],
            };
            for address in addresses {
                if TcpStream::connect((address, port)).await.is_ok() {
                    return true;
                }
            }
            false
        };
        url.scheme() == "https"
            && tokio::time::timeout(PROBE_TIMEOUT, connect).await.unwrap_or_default()
    }

    async fn exchange(&self, request: reqwest::Request) -> reqwest::Result<HttpReply> {
        let mut response = self.inner.execute(request).await?;
        let body = Body::read(&mut response, BODY_CAP).await?;
        let status = response.status().as_u16();
        Ok(HttpReply { status, headers: std::mem::take(response.headers_mut()), body })
    }

    fn fault(&self, error: &reqwest::Error, proxy: Option<UsedProxy>) -> ConnectionFault {
        match connection_fault::of(error, proxy) {
            ConnectionFault::UnknownAuthority { .. } => {
                // The authority may have been added to the system since: the next attempt reads the
                // certificates again.
                self.http.trust.forget();
                self.http.trust_of_clients.forget();
                ConnectionFault::UnknownAuthority { directory: self.directory.clone() }
            }
            fault => fault,
        }
    }
}
