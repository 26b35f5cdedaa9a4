//! The host and the port of a server: parsed once, with the parser that requests use.

use std::net::IpAddr;

use thiserror::Error;
use url::Host;

/// Why a text is not a server. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ServerFault {
    /// Empty or blank.
    #[error("it is empty")]
    Empty,
    /// A control character, such as a line end, tab or escape.
    #[error("it contains a control character")]
    ControlCharacter,
    /// Quotation marks around the server.
    #[error("it is enclosed in quotation marks, which are part of the value")]
    Quoted,
    /// `http//host` or `https:/host`.
    #[error("its scheme is not followed by ://")]
    SchemeEnd,
    /// The prefix of a sparse index in cargo's configuration.
    #[error("it begins with sparse+, which belongs in cargo's configuration alone")]
    Sparse,
    /// An ECR host without an account of twelve digits.
    #[error("it is a host of AWS ECR, but does not begin with an AWS account of 12 digits")]
    EcrAccount,
    /// An ECR host with a mistyped region.
    #[error("it is a host of AWS ECR, but its region is not one of AWS")]
    EcrRegion,
    /// A host of AWS that resembles one of ECR.
    #[error("it resembles a host of AWS ECR, but does not have the form of one")]
    EcrForm,
    /// A scheme such as `ftp://`.
    #[error("its scheme is neither https nor http")]
    Scheme,
    /// `user:password@host`.
    #[error("it contains a user name or password")]
    Userinfo,
    /// Neither a DNS name, nor an IPv4 address, nor an IPv6 address in brackets.
    #[error("it is not a host name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// Not a number, or not one from 1 to 65535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// A query or a fragment in the URL of a package registry.
    #[error("its URL contains a query or a fragment")]
    Query,
    /// `.` or `..` as a part of the path, in plain or percent-encoded, which servers resolve differently.
    #[error("its path contains . or .. as a segment")]
    DotSegment,
    /// A character or a percent-encoding that is not allowed in a path.
    #[error("its path contains a backslash, a blank or an incomplete percent-encoding")]
    Path,
    /// Docker Hub in the URL of a package registry.
    #[error("it is Docker Hub, which has container images and no packages")]
    DockerHub,
}

/// Whether `host`, as in a URL, is `localhost` or a loopback address.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost",
    }
}

/// Splits at the colon before the port.
pub(super) fn split_port(authority: &str) -> Result<(&str, Option<&str>), ServerFault> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(ServerFault::Host)? + 1;
        let (host, rest) = authority.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(ServerFault::Host),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(ServerFault::Host),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

pub(super) fn parse_port(text: &str) -> Result<u16, ServerFault> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ServerFault::Port);
    }
    text.parse().ok().filter(|port| *port != 0).ok_or(ServerFault::Port)
}

/// Converts a host to its canonical form: lower-case, punycode, canonical addresses.
///
/// Uses the parser of the URL standard, because that also parses the URLs of requests. A host that
/// it would silently change (`%2e`, `127.1`, a soft hyphen) is rejected.
pub(super) fn canonical_host(host: &str) -> Result<String, ServerFault> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.contains('%') {
        return Err(ServerFault::Host);
    }
    match Host::parse(host).map_err(|_| ServerFault::Host)? {
        Host::Ipv4(address) if address.to_string() == host => Ok(address.to_string()),
        address @ Host::Ipv6(_) => Ok(address.to_string()),
        Host::Domain(name) if is_dns_name(&name) => Ok(name),
        Host::Ipv4(_) | Host::Domain(_) => Err(ServerFault::Host),
    }
}

/// Letters, digits, hyphens and underscores (used in Compose service names), with labels and
/// lengths that DNS allows (RFC 1035, section 2.3.4).
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
