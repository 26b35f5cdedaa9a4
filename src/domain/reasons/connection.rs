//! What keeps a request from being answered: names, routes, TLS, proxies.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a host gave no answer. The sentences follow "HOST:PORT ".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionFault {
    /// DNS says that there is no such host.
    #[error("has no address: there is no such host")]
    NoSuchHost,
    /// DNS says nothing.
    #[error("could not be looked up: no name server answers")]
    NoNameServer,
    /// The port is closed.
    #[error("refuses connections")]
    Refused,
    /// No route, or the network is down.
    #[error("cannot be reached: {error}")]
    NoRoute {
        /// The error of the operating system.
        error: String,
    },
    /// No answer in time.
    #[error("did not answer in time")]
    TimedOut,
    /// The connection ended in the middle.
    #[error("broke off the answer")]
    BrokenOff,
    /// What came is not HTTP.
    #[error("answered what is not HTTP")]
    NotHttp,
    /// What came is not TLS.
    #[error("does not speak TLS")]
    NotTls,
    /// The connection ended before TLS was agreed on.
    #[error("ended the connection during the TLS handshake")]
    HandshakeEnded,
    /// The certificate is signed by an authority that is not trusted.
    #[error("has a certificate of an authority that is not trusted here")]
    UnknownAuthority {
        /// The directory that trust for this host is read from, as in `registry.test:5000`.
        directory: String,
    },
    /// The certificate is for another name.
    #[error("has a certificate for another name")]
    WrongName,
    /// The certificate is out of its time.
    #[error("has a certificate that is expired or not yet valid")]
    OutOfTime,
    /// TLS failed otherwise.
    #[error("and this machine agree on no TLS: {error}")]
    Tls {
        /// What rustls says.
        error: String,
    },
    /// The proxy wants a login.
    #[error("was not asked: the proxy {proxy} wants a user and a password")]
    ProxyLogin {
        /// Scheme, host and port of the proxy.
        proxy: String,
    },
    /// The proxy said no.
    #[error("was not asked: the proxy {proxy} refuses to connect to it")]
    ProxyRefused {
        /// Scheme, host and port of the proxy.
        proxy: String,
    },
    /// The proxy itself gives no answer.
    #[error("was not asked: the proxy {proxy} {fault}")]
    ProxyUnreachable {
        /// Scheme, host and port of the proxy.
        proxy: String,
        /// Why.
        fault: Box<ConnectionFault>,
    },
    /// The file of `_CA_FILE` cannot be used.
    #[error("was not asked: the certificates of {path} cannot be used: {error}")]
    CaFile {
        /// The file.
        path: String,
        /// The error of the operating system, or that there is no certificate in it.
        error: String,
    },
    /// Anything else.
    #[error("could not be asked: {error}")]
    Other {
        /// What the HTTP client says.
        error: String,
    },
}

impl ConnectionFault {
    /// A stable word for programs.
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

    /// Whether the host was reached, and TLS with it is what failed.
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

    /// What to do about it.
    pub fn fix(&self) -> String {
        let fix = match self {
            Self::NoSuchHost => {
                "correct the server's name, or connect to the network that knows it"
            }
            Self::NoNameServer => {
                "make sure that the network is up and /etc/resolv.conf names a name server that answers"
            }
            Self::Refused => "make sure that the registry runs, and that the port is right",
            Self::NoRoute { .. } | Self::TimedOut => {
                "make sure that the network, the VPN and the firewall let this machine reach it, and that HTTPS_PROXY is set where a proxy is needed"
            }
            Self::BrokenOff | Self::Other { .. } => {
                "nothing by itself: it is asked again; if it stays so, look at the registry's own log"
            }
            Self::NotHttp => "make sure that host and port are a registry's",
            Self::NotTls => {
                "declare the server with http:// in front, if it is really meant to be spoken to without TLS"
            }
            Self::UnknownAuthority { directory } => {
                return format!(
                    "put the authority's certificate into /etc/docker/certs.d/{directory}/ca.crt, or its path into the declaration's _CA_FILE"
                );
            }
            Self::WrongName => "declare the server by the name that is in its certificate",
            Self::OutOfTime => "renew the registry's certificate, or set this machine's clock",
            Self::HandshakeEnded | Self::Tls { .. } => {
                "make sure that the registry speaks TLS 1.2 or 1.3, and wants no client certificate"
            }
            Self::ProxyLogin { .. } => {
                "put user and password into HTTPS_PROXY, as in http://USER:PASSWORD@HOST:PORT"
            }
            Self::ProxyRefused { .. } => {
                "let the proxy connect to the registry, or add its host to NO_PROXY"
            }
            Self::ProxyUnreachable { .. } => {
                "correct HTTPS_PROXY, or add the registry's host to NO_PROXY"
            }
            Self::CaFile { path, .. } => {
                return format!("make {path} a readable PEM file of certificates");
            }
        };
        fix.to_owned()
    }
}
