//! Why a request gets no response: DNS, routing, TLS, proxies.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::step::Step;
use super::{instant, list};

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
    /// The server speaks TLS, but is declared with `http://`.
    SpeaksTls {
        /// The server with TLS, without a scheme.
        server: String,
    },
    /// The connection was closed during the TLS handshake.
    HandshakeEnded,
    /// The certificate is signed by an unknown authority.
    UnknownAuthority {
        /// The `certs.d` directory name for this host, such as `registry.test:5000`.
        directory: String,
    },
    /// The server accepts connections, and then says nothing.
    Silent {
        /// Whether it says nothing in the TLS handshake.
        in_tls: bool,
    },
    /// The certificate is for another name.
    WrongName {
        /// The names that it is for.
        #[serde(default)]
        names: Vec<String>,
    },
    /// The certificate has expired.
    Expired {
        /// Its expiry (UTC), if it is known.
        at: Option<Timestamp>,
        /// The time of this machine, which may be wrong.
        now: Option<Timestamp>,
    },
    /// The certificate is not valid yet.
    NotYetValid {
        /// When it becomes valid (UTC), if that is known.
        at: Option<Timestamp>,
        /// The time of this machine, which may be wrong.
        now: Option<Timestamp>,
    },
    /// TLS failed for another reason.
    Tls {
        /// The error reported by rustls.
        error: String,
    },
    /// The proxy requires authentication, and its variable has no user and password.
    ProxyLogin {
        /// Scheme, host and port of the proxy.
        proxy: String,
        /// The variable that names the proxy.
        variable: String,
    },
    /// The proxy rejected the user and the password in its variable.
    ProxyLoginRefused {
        /// Scheme, host and port of the proxy.
        proxy: String,
        /// The variable that names the proxy.
        variable: String,
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
        /// The variable that names the proxy.
        variable: String,
        /// Why the proxy does not respond.
        fault: Box<ConnectionFault>,
    },
    /// The file of `_CA_FILE` cannot be used.
    CaFile {
        /// The path of the file.
        path: String,
        /// The error of the operating system, or that the file contains no certificate.
        error: String,
        /// Whether it is another file than the user meant: one without a certificate, or no regular file.
        #[serde(default)]
        was_read: bool,
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
            Self::SpeaksTls { .. } => {
                format!("{host} speaks TLS, but the server is declared with http://")
            }
            Self::HandshakeEnded => {
                format!("{host} closed the connection during the TLS handshake")
            }
            Self::UnknownAuthority { .. } => {
                format!("{host}'s certificate is signed by an unknown authority")
            }
            Self::Silent { in_tls: true } => {
                format!("{host} accepts connections, but does not answer the TLS handshake")
            }
            Self::Silent { in_tls: false } => {
                format!("{host} accepts connections, but does not answer the request")
            }
            Self::WrongName { names } if names.is_empty() => {
                format!("{host}'s certificate is issued for another name")
            }
            Self::WrongName { names } => {
                format!("{host}'s certificate is issued for another name: {}", shown_names(names))
            }
            Self::Expired { at, now } => {
                format!("{host}'s certificate expired{}{}", time(*at), this_clock(*now))
            }
            Self::NotYetValid { at: Some(at), now } => {
                format!(
                    "{host}'s certificate is not valid before {}{}",
                    instant(*at),
                    this_clock(*now)
                )
            }
            Self::NotYetValid { at: None, now } => {
                format!("{host}'s certificate is not valid yet{}", this_clock(*now))
            }
            Self::Tls { error } => format!("TLS handshake with {host} failed: {error}"),
            Self::ProxyLogin { proxy, variable } => format!(
                "the proxy {proxy} requires a user and a password to connect to {host}, and {variable} has none"
            ),
            Self::ProxyLoginRefused { proxy, variable } => {
                format!("the proxy {proxy} rejected the user and the password in {variable}")
            }
            Self::ProxyRefused { proxy } => {
                format!("the proxy {proxy} refused to connect to {host}")
            }
            Self::CaFile { path, error, .. } => {
                format!("the CA certificates for {host} cannot be read from {path}: {error}")
            }
            Self::Other { error } => format!("the request to {host} failed: {error}"),
            Self::ProxyUnreachable { proxy, fault, .. } => {
                // A name is looked up without its scheme.
                let (_, address) = proxy.split_once("://").unwrap_or(("", proxy));
                let looked_up = matches!(**fault, Self::NoSuchHost | Self::NoNameServer);
                let proxy = if looked_up { address } else { proxy };
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
            Self::SpeaksTls { .. } => "speaks-tls",
            Self::HandshakeEnded => "handshake-ended",
            Self::UnknownAuthority { .. } => "unknown-authority",
            Self::Silent { .. } => "server-silent",
            Self::WrongName { .. } => "certificate-name",
            Self::Expired { .. } => "certificate-expired",
            Self::NotYetValid { .. } => "certificate-not-yet-valid",
            Self::Tls { .. } => "tls-failed",
            Self::ProxyLogin { .. } => "proxy-login",
            Self::ProxyLoginRefused { .. } => "proxy-login-refused",
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
                | Self::WrongName { .. }
                | Self::Silent { in_tls: true }
                | Self::Expired { .. }
                | Self::NotYetValid { .. }
                | Self::Tls { .. }
        )
    }

    /// The step of `check` that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::NoSuchHost | Self::NoNameServer => Step::NameResolution,
            Self::BrokenOff | Self::NotHttp | Self::Silent { in_tls: false } => Step::RegistryApi,
            Self::CaFile { .. } => Step::Tls,
            fault if fault.is_of_tls() => Step::Tls,
            _ => Step::Connection,
        }
    }
}

/// The names in a certificate, of which there may be hundreds.
fn shown_names(names: &[String]) -> String {
    let shown = &names[..names.len().min(NAMES_SHOWN)];
    match names.len() - shown.len() {
        0 => list(shown),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// How many names of a certificate are shown.
const NAMES_SHOWN: usize = 5;

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(" at {}", instant(at)))
}

fn this_clock(now: Option<Timestamp>) -> String {
    now.map_or_else(String::new, |now| format!(" (this machine's clock says {})", instant(now)))
}

/// `host` without its port.
pub(super) fn name_of(host: &str) -> &str {
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    host.rsplit_once(':').filter(|(_, end)| port(end)).map_or(host, |(name, _)| name)
}
