//! Why a request gets no response: DNS, routing, TLS, proxies.

use serde::{Deserialize, Serialize};

use super::step::Step;

/// Why a host sent no usable response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionFault {
    /// DNS reports that the host does not exist.
    NoSuchHost,
    /// No name server responds.
    NoNameServer,
    /// The connection was refused: the port is closed.
    Refused,
    /// There is no route to the host, or the network is down.
    NoRoute {
        /// The error of the operating system.
        error: String,
    },
    /// No response within the time limit.
    TimedOut,
    /// The connection was closed mid-response.
    BrokenOff,
    /// The response is not HTTP.
    NotHttp,
    /// The response to the TLS handshake is not TLS.
    NotTls,
    /// The connection was closed during the TLS handshake.
    HandshakeEnded,
    /// The certificate is signed by an unknown authority.
    UnknownAuthority {
        /// The `certs.d` directory name for this host, such as `registry.test:5000`.
        directory: String,
    },
    /// The certificate is for another name.
    WrongName,
    /// The certificate has expired or is not valid yet.
    OutOfTime,
    /// TLS failed for another reason.
    Tls {
        /// The error reported by rustls.
        error: String,
    },
    /// The proxy requires authentication.
    ProxyLogin {
        /// Scheme, host and port of the proxy.
        proxy: String,
    },
    /// The proxy refused to connect to the host.
    ProxyRefused {
        /// Scheme, host and port of the proxy.
        proxy: String,
    },
    /// The proxy itself does not respond.
    ProxyUnreachable {
        /// Scheme, host and port of the proxy.
        proxy: String,
        /// Why the proxy does not respond.
        fault: Box<ConnectionFault>,
    },
    /// The file of `_CA_FILE` cannot be used.
    CaFile {
        /// The path of the file.
        path: String,
        /// The error of the operating system, or that the file contains no certificate.
        error: String,
    },
    /// Any other failure.
    Other {
        /// The error reported by the HTTP client.
        error: String,
    },
}

impl ConnectionFault {
    /// What happened to a request to `host`, which is `HOST:PORT`.
    pub fn sentence(&self, host: &str) -> String {
        let name = name_of(host);
        match self {
            Self::NoSuchHost => format!("DNS lookup of {name} failed: no such host"),
            Self::NoNameServer => format!("DNS lookup of {name} failed: no name server responds"),
            Self::Refused => format!("{host} refused the connection"),
            Self::NoRoute { error } => format!("{host} cannot be reached: {error}"),
            Self::TimedOut => format!("{host} did not respond in time"),
            Self::BrokenOff => format!("{host} closed the connection mid-response"),
            Self::NotHttp => format!("{host} sent a response that is not HTTP"),
            Self::NotTls => format!("{host} does not speak TLS"),
            Self::HandshakeEnded => {
                format!("{host} closed the connection during the TLS handshake")
            }
            Self::UnknownAuthority { .. } => {
                format!("{host}'s certificate is signed by an unknown authority")
            }
            Self::WrongName => format!("{host}'s certificate is issued for another name"),
            Self::OutOfTime => format!("{host}'s certificate has expired or is not valid yet"),
            Self::Tls { error } => format!("TLS handshake with {host} failed: {error}"),
            Self::ProxyLogin { proxy } => {
                format!("the proxy {proxy} requires a user and a password to connect to {host}")
            }
            Self::ProxyRefused { proxy } => {
                format!("the proxy {proxy} refused to connect to {host}")
            }
            Self::CaFile { path, error } => {
                format!("the CA certificates for {host} cannot be read from {path}: {error}")
            }
            Self::Other { error } => format!("the request to {host} failed: {error}"),
            Self::ProxyUnreachable { proxy, fault } => {
                format!("{host} cannot be reached through the proxy: {}", fault.sentence(proxy))
            }
        }
    }

    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchHost => "no-such-host",
            Self::NoNameServer => "no-name-server",
            Self::Refused => "connection-refused",
            Self::NoRoute { .. } => "no-route",
            Self::TimedOut => "timed-out",
            Self::BrokenOff => "broken-off",
            Self::NotHttp => "not-http",
            Self::NotTls => "not-tls",
            Self::HandshakeEnded => "handshake-ended",
            Self::UnknownAuthority { .. } => "unknown-authority",
            Self::WrongName => "certificate-name",
            Self::OutOfTime => "certificate-time",
            Self::Tls { .. } => "tls-failed",
            Self::ProxyLogin { .. } => "proxy-login",
            Self::ProxyRefused { .. } => "proxy-refused",
            Self::ProxyUnreachable { .. } => "proxy-unreachable",
            Self::CaFile { .. } => "ca-file",
            Self::Other { .. } => "unreachable",
        }
    }

    /// Whether the host was reached, but TLS failed.
    pub fn is_of_tls(&self) -> bool {
        matches!(
            self,
            Self::NotTls
                | Self::HandshakeEnded
                | Self::UnknownAuthority { .. }
                | Self::WrongName
                | Self::OutOfTime
                | Self::Tls { .. }
        )
    }

    /// The step of `check` that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::NoSuchHost | Self::NoNameServer => Step::NameResolution,
            Self::BrokenOff | Self::NotHttp => Step::RegistryApi,
            Self::CaFile { .. } => Step::Tls,
            fault if fault.is_of_tls() => Step::Tls,
            _ => Step::Connection,
        }
    }

    /// What to do about a failed request to `host`, which is `HOST:PORT`.
    pub fn fix(&self, host: &str) -> String {
        let name = name_of(host);
        let fix = match self {
            Self::NoSuchHost => {
                "correct the server's name, or connect to the network or VPN that resolves it"
            }
            Self::NoNameServer => {
                "check the network, and that /etc/resolv.conf names a name server that responds"
            }
            Self::Refused => "check that the registry is running and that the port is correct",
            Self::NoRoute { .. } | Self::TimedOut => {
                "check network, VPN and firewall, and set HTTPS_PROXY if a proxy is needed"
            }
            Self::BrokenOff | Self::Other { .. } => {
                "no action needed; retried automatically. If it persists, check the registry's log"
            }
            Self::NotHttp => "check that host and port belong to a registry",
            Self::NotTls => {
                return format!(
                    "set the server to http://{host}, but only if it is meant to be used without TLS"
                );
            }
            Self::UnknownAuthority { directory } => {
                return format!(
                    "copy the authority's certificate to /etc/docker/certs.d/{directory}/ca.crt, or set `<NAME>_CONTAINER_REGISTRY_CA_FILE` to its path"
                );
            }
            Self::WrongName => "set the server to a name that its certificate contains",
            Self::OutOfTime => "renew the registry's certificate, or correct this machine's clock",
            Self::HandshakeEnded | Self::Tls { .. } => {
                "check that the registry supports TLS 1.2 or 1.3 and requires no client certificate"
            }
            Self::ProxyLogin { proxy } => {
                let (scheme, address) = proxy.split_once("://").unwrap_or(("http", proxy));
                return format!(
                    "set HTTPS_PROXY to {scheme}://USER:PASSWORD@{address}, then run `registry-agent sync`"
                );
            }
            Self::ProxyRefused { .. } => {
                return format!(
                    "allow the proxy to connect to {name}, or add {name} to NO_PROXY and run `registry-agent sync`"
                );
            }
            Self::ProxyUnreachable { .. } => {
                return format!(
                    "correct HTTPS_PROXY, or add {name} to NO_PROXY; then run `registry-agent sync`"
                );
            }
            Self::CaFile { path, .. } => {
                return format!(
                    "write the CA certificates to {path} in PEM format, and let the agent's user read it"
                );
            }
        };
        fix.to_owned()
    }
}

/// `host` without its port.
fn name_of(host: &str) -> &str {
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    host.rsplit_once(':').filter(|(_, end)| port(end)).map_or(host, |(name, _)| name)
}
