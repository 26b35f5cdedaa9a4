//! From the HTTP client's errors, which hide their causes in chains, to what a user can act on.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::resolver::ResolveFault;
use crate::domain::reason::reach::ReachFault;

/// Why a request was not answered. The host, and the proxy's name, are for the caller to add.
pub(super) fn of(error: &reqwest::Error) -> ReachFault {
    let connecting = error.is_connect();
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut deepest = String::new();
    let mut by_kind = None;
    while let Some(current) = cause {
        if let Some(fault) = known(current) {
            return fault;
        }
        // What an I/O error wraps says more than its kind does, where it says anything known.
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
        return ReachFault::TimedOut;
    }
    // The outer texts name the URL, whose query is none of a reader's business; the inner do not.
    ReachFault::Other { error: deepest }
}

/// The next error of the chain. An I/O error that wraps another one hides it from `source`.
fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn known(error: &(dyn Error + 'static)) -> Option<ReachFault> {
    if let Some(fault) = error.downcast_ref::<ResolveFault>() {
        return Some(match fault {
            ResolveFault::NoSuchHost => ReachFault::NoSuchHost,
            ResolveFault::NoAnswer => ReachFault::NoNameServer,
        });
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls(error));
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return if error.is_parse() {
            Some(ReachFault::NotHttp)
        } else if error.is_incomplete_message() {
            Some(ReachFault::BrokenOff)
        } else {
            None
        };
    }
    // hyper-util keeps the type of its tunnel's errors to itself.
    match error.to_string().as_str() {
        "tunnel error: proxy authorization required" => {
            Some(ReachFault::ProxyLogin { proxy: String::new() })
        }
        "tunnel error: unsuccessful" | "tunnel error: unexpected end of file" => {
            Some(ReachFault::ProxyRefused { proxy: String::new() })
        }
        "tls handshake eof" => Some(ReachFault::HandshakeEnded),
        _ => None,
    }
}

fn io_fault(kind: io::ErrorKind, connecting: bool) -> Option<ReachFault> {
    use io::ErrorKind as Kind;
    match kind {
        Kind::ConnectionRefused => Some(ReachFault::Refused),
        Kind::TimedOut => Some(ReachFault::TimedOut),
        Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable
        | Kind::PermissionDenied => Some(ReachFault::NoRoute { error: kind.to_string() }),
        Kind::ConnectionReset | Kind::UnexpectedEof | Kind::BrokenPipe if connecting => {
            Some(ReachFault::HandshakeEnded)
        }
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::UnexpectedEof
        | Kind::BrokenPipe => Some(ReachFault::BrokenOff),
        _ => None,
    }
}

fn tls(error: &rustls::Error) -> ReachFault {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidMessage(_) => ReachFault::NotTls,
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer | Bad::BadSignature => {
                ReachFault::UnknownAuthority { directory: String::new() }
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => ReachFault::WrongName,
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. } => ReachFault::OutOfTime,
            Bad::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                ReachFault::UnknownAuthority { directory: String::new() }
            }
            _ => ReachFault::Tls { error: error.to_string() },
        },
        _ => ReachFault::Tls { error: error.to_string() },
    }
}
