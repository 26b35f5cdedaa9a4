//! Why a request gets no response: DNS, routing, TLS, proxies.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::step::Step;
use super::{FixContext, instant, shell_word};
use crate::domain::declarations::variable::Field;

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
    /// The certificate is for another name.
    WrongName,
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
        /// Whether the file was read: it is another file than the user meant.
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
            Self::WrongName => format!("{host}'s certificate is issued for another name"),
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
            Self::WrongName => "certificate-name",
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
                | Self::WrongName
                | Self::Expired { .. }
                | Self::NotYetValid { .. }
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

    /// What to do about a failed request to `host`, which is `HOST:PORT`, for this login.
    pub fn fix(&self, host: &str, login: &FixContext) -> String {
        let name = name_of(host);
        let correct_server = |value: &str| {
            if login.is_elsewhere(host) {
                format!(
                    "ask the registry's operator to correct {host}, to which the registry sends its clients"
                )
            } else {
                login.set(&[(Field::Server, value)])
            }
        };
        // The path of a package registry belongs to its server.
        let or_url = |of_container, of_package| {
            if login.package().is_some() { of_package } else { of_container }
        };
        match self {
            Self::NoSuchHost => format!(
                "{}; or connect to the network or VPN that knows {name}",
                correct_server(or_url("the registry's host", "the registry's URL"))
            ),
            Self::NoNameServer => format!(
                "check the network, and that /etc/resolv.conf names a name server that responds; {}",
                login.then_check()
            ),
            Self::Refused => format!(
                "check that a registry runs at {host}, {}; or {}",
                login.then_check(),
                correct_server(or_url("the registry's host and port", "the registry's URL"))
            ),
            Self::NoRoute { .. } | Self::TimedOut => {
                "check network, VPN and firewall; if this network needs a proxy, set HTTPS_PROXY to http://PROXY:PORT and run `registry-agent sync`".to_owned()
            }
            Self::BrokenOff | Self::Other { .. } => {
                format!("{}. If it persists, ask the registry's operator", login.retried())
            }
            Self::NotHttp => {
                correct_server(or_url("the host and port of a registry", "the URL of a package registry"))
            },
            Self::NotTls => format!(
                "{}; otherwise ask the registry's operator to turn on TLS",
                correct_server(&format!(
                    "{} (only if passwords may cross this network unencrypted)",
                    without_tls(host, login)
                ))
            ),
            // A package registry may lead to another port of its host.
            Self::SpeaksTls { server } => match login.package() {
                Some(package) => login.set(&[(Field::Server, &package.at("https", server))]),
                None => correct_server(&format!("{server} (without http://)")),
            },
            Self::UnknownAuthority { directory } => format!(
                "ask the registry's operator for the certificate of its authority, save it as ca.pem, run `{}` as root, {}{}",
                install_authority("ca.pem", directory),
                login.then_check(),
                ca_file(login)
            ),
            Self::WrongName => correct_server(or_url(
                "a name that the certificate contains",
                "the same URL with a name that the certificate contains",
            )),
            Self::Expired { .. } => format!(
                "ask the registry's operator to renew the certificate, {}; if this machine's clock is wrong, {CORRECT_CLOCK}",
                login.then_check()
            ),
            Self::NotYetValid { .. } => format!(
                "{CORRECT_CLOCK}, {}; if the clock is right, ask the registry's operator for a certificate that is valid now",
                login.then_check()
            ),
            Self::HandshakeEnded | Self::Tls { .. } => format!(
                "ask the registry's operator whether {host} supports TLS 1.2 or 1.3 and requires no client certificate"
            ),
            Self::ProxyLogin { proxy, variable } | Self::ProxyLoginRefused { proxy, variable } => {
                let (scheme, address) = proxy.split_once("://").unwrap_or(("http", proxy));
                format!(
                    "set {variable} to {scheme}://USER:PASSWORD@{address} with the proxy's user and password (write @ as %40, : as %3A, / as %2F, % as %25), then {SYNC_ALL}"
                )
            }
            Self::ProxyRefused { proxy } => format!(
                "ask the operator of {proxy} to allow connections to {name}; if {name} needs no proxy, add it to NO_PROXY and {SYNC_ALL}"
            ),
            Self::ProxyUnreachable { variable, .. } => format!(
                "set {variable} to the proxy of this network, or unset it if there is none, then {SYNC_ALL}; if only {name} needs no proxy, add it to NO_PROXY"
            ),
            Self::CaFile { was_read: true, .. } if login.has(Field::CaFile) => {
                login.set(&[(Field::CaFile, "the path of a file with CA certificates in PEM format")])
            }
            Self::CaFile { path, .. } => format!(
                "write the CA certificates to {path} in PEM format and let the agent's user read it, {}",
                login.then_check()
            ),
        }
    }
}

/// A push replaces the one before it, so it has to come from a shell that has everything.
const SYNC_ALL: &str = "run `registry-agent sync` in a shell that also has the registry variables";

/// How to correct the clock. It starts with a verb.
pub(super) const CORRECT_CLOCK: &str = "correct the clock (`sudo timedatectl set-ntp true` where systemd runs; in a container, on its host)";

/// The command that makes the authorities in `file` trusted ones for the registry of `directory`.
pub(super) fn install_authority(file: &str, directory: &str) -> String {
    let directory = format!("/etc/docker/certs.d/{directory}");
    let (to, from) = (format!("{directory}/ca.crt"), shell_word(file));
    format!("mkdir -p {} && cp {from} {}", shell_word(&directory), shell_word(&to))
}

/// The other way to trust an authority, which helps the agent alone.
fn ca_file(login: &FixContext) -> String {
    if login.has(Field::Server) {
        format!(
            "; if docker trusts the certificate already, set {} to the path of that file instead and run `registry-agent sync`",
            login.variable(Field::CaFile)
        )
    } else {
        String::new()
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(" at {}", instant(at)))
}

fn this_clock(now: Option<Timestamp>) -> String {
    now.map_or_else(String::new, |now| format!(" (this machine's clock says {})", instant(now)))
}

/// The login's server without TLS.
fn without_tls(host: &str, login: &FixContext) -> String {
    let authority = with_port(host);
    match login.package() {
        Some(package) => package.at("http", &authority),
        None => format!("http://{authority}"),
    }
}

/// `host` with its port, which is that of https unless it is given: with `http://`, a client takes
/// another.
fn with_port(host: &str) -> Cow<'_, str> {
    if name_of(host) == host { format!("{host}:443").into() } else { host.into() }
}

/// `host` without its port.
fn name_of(host: &str) -> &str {
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    host.rsplit_once(':').filter(|(_, end)| port(end)).map_or(host, |(name, _)| name)
}
