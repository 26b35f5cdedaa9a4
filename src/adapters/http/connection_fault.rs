//! Maps errors of the HTTP client, which hide their causes in chains, to reasons that a user can
//! act on.

use std::error::Error;
use std::io;

use jiff::Timestamp;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use super::proxies::UsedProxy;
use super::resolver::ResolveFault;
use crate::domain::reasons::connection::ConnectionFault;

/// Why a request got no response. `proxy` is the proxy that it used.
pub(crate) fn of(error: &reqwest::Error, proxy: Option<UsedProxy>) -> ConnectionFault {
    match (cause_of(error), proxy) {
        (ConnectionFault::ProxyLogin { .. }, Some(proxy)) => proxy_login(proxy),
        (ConnectionFault::ProxyRefused { .. }, Some(proxy)) => {
            ConnectionFault::ProxyRefused { proxy: proxy.address }
        }
        // The TLS handshake with a proxy comes before the one with the server.
        (fault, Some(UsedProxy { address: proxy, variable, .. }))
            if error.is_connect()
                && (!fault.is_of_tls()
                    || (fault == ConnectionFault::NotTls && proxy.starts_with("https://"))) =>
        {
            ConnectionFault::ProxyUnreachable { proxy, variable, fault: Box::new(fault) }
        }
        (fault, _) => fault,
    }
}

/// Why the proxy asks for a user and a password.
pub(crate) fn proxy_login(proxy: UsedProxy) -> ConnectionFault {
    let UsedProxy { address: proxy, variable, has_login } = proxy;
    if has_login {
        ConnectionFault::ProxyLoginRefused { proxy, variable }
    } else {
        ConnectionFault::ProxyLogin { proxy, variable }
    }
}

/// Omits the proxy's name, which [`of`] adds.
fn cause_of(error: &reqwest::Error) -> ConnectionFault {
    let connecting = error.is_connect();
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut deepest = String::new();
    let mut by_kind = None;
    while let Some(current) = cause {
        if let Some(fault) = known(current) {
            return fault;
        }
        // An error inside an I/O error is more specific than its kind, if it is a known one.
        if let Some(error) = current.downcast_ref::<io::Error>() {
            by_kind = io_fault(error.kind(), connecting).or(by_kind);
        }
        deepest = current.to_string();
        cause = inside(current);
    }
    if let Some(fault) = by_kind {
        return fault;
    }
    if error.is_timeout() {
        return ConnectionFault::TimedOut;
    }
    // Outer messages contain the URL, whose query must not be shown; inner ones do not.
    ConnectionFault::Other { error: deepest }
}

/// The next error in the chain. `source` does not return an error inside an I/O error.
fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn known(error: &(dyn Error + 'static)) -> Option<ConnectionFault> {
    if let Some(fault) = error.downcast_ref::<ResolveFault>() {
        return Some(match fault {
            ResolveFault::NoSuchHost => ConnectionFault::NoSuchHost,
            ResolveFault::NoAnswer => ConnectionFault::NoNameServer,
        });
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls(error));
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return if error.is_parse() {
            Some(ConnectionFault::NotHttp)
        } else if error.is_incomplete_message() {
            Some(ConnectionFault::BrokenOff)
        } else {
            None
        };
    }
    // hyper-util does not export the type of its tunnel errors.
    match error.to_string().as_str() {
        "tunnel error: proxy authorization required" => {
            Some(ConnectionFault::ProxyLogin { proxy: String::new(), variable: String::new() })
        }
        "tunnel error: unsuccessful" | "tunnel error: unexpected end of file" => {
            Some(ConnectionFault::ProxyRefused { proxy: String::new() })
        }
        "tls handshake eof" => Some(ConnectionFault::HandshakeEnded),
        _ => None,
    }
}

fn io_fault(kind: io::ErrorKind, connecting: bool) -> Option<ConnectionFault> {
    use io::ErrorKind as Kind;
    match kind {
        Kind::ConnectionRefused => Some(ConnectionFault::Refused),
        Kind::TimedOut => Some(ConnectionFault::TimedOut),
        Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable
        | Kind::PermissionDenied => Some(ConnectionFault::NoRoute { error: kind.to_string() }),
        Kind::ConnectionReset | Kind::UnexpectedEof | Kind::BrokenPipe if connecting => {
            Some(ConnectionFault::HandshakeEnded)
        }
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::UnexpectedEof
        | Kind::BrokenPipe => Some(ConnectionFault::BrokenOff),
        _ => None,
    }
}

fn tls(error: &rustls::Error) -> ConnectionFault {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidMessage(_) => ConnectionFault::NotTls,
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer | Bad::BadSignature => {
                ConnectionFault::UnknownAuthority { directory: String::new() }
            }
            Bad::NotValidForName => ConnectionFault::WrongName { names: Vec::new() },
            Bad::NotValidForNameContext { presented, .. } => ConnectionFault::WrongName {
                names: presented.iter().filter_map(|it| name(it)).collect(),
            },
            Bad::Expired => ConnectionFault::Expired { at: None, now: None },
            Bad::ExpiredContext { time, not_after } => {
                ConnectionFault::Expired { at: timestamp(*not_after), now: timestamp(*time) }
            }
            Bad::NotValidYet => ConnectionFault::NotYetValid { at: None, now: None },
            Bad::NotValidYetContext { time, not_before } => {
                ConnectionFault::NotYetValid { at: timestamp(*not_before), now: timestamp(*time) }
            }
            Bad::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                ConnectionFault::UnknownAuthority { directory: String::new() }
            }
            _ => ConnectionFault::Tls { error: error.to_string() },
        },
        _ => ConnectionFault::Tls { error: error.to_string() },
    }
}

/// The name in `DnsName("r.test")` or `IpAddress(…)`, which is how the parser shows it.
fn name(presented: &str) -> Option<String> {
    let name = presented.split(['(', ')']).nth(1)?.trim_matches('"');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._*:".contains(c);
    (!name.is_empty() && name.chars().all(is_plain)).then(|| name.to_owned())
}

fn timestamp(time: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(time.as_secs().try_into().ok()?).ok()
}
