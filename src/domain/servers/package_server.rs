//! Package registries: the URLs below which one login answers.

use std::fmt;
use std::fmt::Write as _;

use percent_encoding::percent_decode;

use super::authority::{ServerFault, canonical_host, is_loopback, parse_port, split_port};
use super::kind::Kind;
use super::mistyped;
pub use super::package_kind::{CodeArtifactHost, PackageKind};
use crate::domain::credentials::authorization::AuthScheme;

/// A package registry: every URL below its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageServer {
    /// The canonical URL, which ends with a slash.
    name: String,
    authority: String,
    url: PackageUrl,
    kind: PackageKind,
}

/// The URL of a package registry, or of something in it, in normal form.
///
/// Two URLs that a server may treat differently are never equal: `%2F` is no slash, and a path that
/// servers resolve differently is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageUrl {
    plain: bool,
    /// Lower-case ASCII without a trailing dot; IPv6 in brackets.
    host: String,
    port: u16,
    /// Begins with a slash.
    path: String,
}

/// How cargo marks the URL of a sparse index.
const SPARSE: &str = "sparse+";
/// What package clients write before a URL, in configuration and lock files.
const PREFIXES: [&str; 3] = [SPARSE, "registry+", "git+"];

/// Whether a server of a set that does not state its family is most likely a package registry: a URL
/// with a path, or a host that has only packages.
pub fn is_meant_by(server: &str) -> bool {
    let Ok(parsed) = PackageServer::parse(server) else { return false };
    let has_path = !matches!(parsed.url.path.as_str(), "/" | "/v1/" | "/v2/");
    let is_generic = Kind::of_host(&parsed.url.host) == Kind::Generic;
    parsed.kind != PackageKind::Packages || (server.contains("://") && has_path && is_generic)
}

impl PackageServer {
    /// Parses a declared URL. Without a scheme, a loopback host is plain and any other has TLS.
    pub fn parse(declared: &str) -> Result<Self, ServerFault> {
        let text = declared.trim();
        if let Some(fault) = mistyped::fault_of(text) {
            return Err(fault);
        }
        if text.starts_with(SPARSE) {
            return Err(ServerFault::Sparse);
        }
        let mut url = if text.contains("://") {
            PackageUrl::parse_whole(text)?
        } else if text.is_empty() {
            return Err(ServerFault::Empty);
        } else {
            let secure = PackageUrl::parse_whole(&format!("https://{text}"))?;
            let local = is_loopback(&secure.host);
            if local { PackageUrl::parse_whole(&format!("http://{text}"))? } else { secure }
        };
        // A package login under docker's key for Docker Hub would be ambiguous.
        if Kind::of_host(&url.host) == Kind::DockerHub {
            return Err(ServerFault::DockerHub);
        }
        if !url.path.ends_with('/') {
            url.path.push('/');
        }
        let authority = url.authority();
        let name = url.to_string();
        let kind = PackageKind::of(&url.host, &url.path);
        Ok(Self { name, authority, url, kind })
    }

    /// The URL in `text` with the scheme that was meant, without quotation marks, without `sparse+` and the
    /// like, and without a login, if that is all that keeps it from being one.
    pub fn cleaned(text: &str) -> Option<Self> {
        Self::parse(&mistyped::repaired(without_prefix(text))).ok()
    }

    /// The URL of the repository in `text`, which git and package clients write as
    /// `git+https://HOST/PATH@REVISION#FRAGMENT`.
    pub fn of_repository(text: &str) -> Option<Self> {
        let url = without_prefix(text).split(['?', '#']).next()?;
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = rest.split_once('/')?;
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (name, _revision) = name.split_once('@')?;
        Self::parse(&format!("{scheme}://{authority}/{directory}/{name}")).ok()
    }

    /// The canonical URL, which ends with a slash.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of the registry.
    pub fn kind(&self) -> &PackageKind {
        &self.kind
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        self.url.scheme()
    }

    /// The host, with the port if it is not the scheme's default.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host without a port; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        &self.url.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.url.port
    }

    /// The path, which begins and ends with a slash.
    pub fn path(&self) -> &str {
        &self.url.path
    }

    /// Whether the host is a loopback name or address.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url.host)
    }

    /// Whether `asked` is this URL or below it: same scheme, host and port, and a path that continues
    /// after a whole segment.
    pub fn covers(&self, asked: &PackageUrl) -> bool {
        let origin = |url: &PackageUrl| (url.plain, url.port);
        let below = asked.path.starts_with(&self.url.path)
            || self.url.path.strip_suffix('/') == Some(&asked.path);
        origin(&self.url) == origin(asked) && self.url.host == asked.host && below
    }

    /// The same URL at another scheme, host and port.
    pub fn at(&self, scheme: &str, authority: &str) -> String {
        format!("{scheme}://{authority}{}", self.url.path)
    }

    /// The length of the path: of several servers that cover a URL, the one with the longest answers.
    pub fn depth(&self) -> usize {
        self.url.path.len()
    }

    /// How clients send a credential in a request to `asked`, unless `_SCHEME` says otherwise. `offered`
    /// is what the registry asks for, if that is known, and `usual` what this client sends to most
    /// registries.
    pub fn scheme_for(
        &self,
        asked: &PackageUrl,
        has_user: bool,
        offered: &[AuthScheme],
        usual: Option<AuthScheme>,
    ) -> AuthScheme {
        self.kind.scheme(&asked.host, &asked.path).unwrap_or_else(|| {
            let by_user = if has_user { AuthScheme::Basic } else { AuthScheme::Bearer };
            let usual = usual.filter(|_| self.kind == PackageKind::Packages);
            let mut candidates = usual.into_iter().chain([by_user]);
            let first = usual.unwrap_or(by_user);
            match offered {
                [] => first,
                [one, ..] => candidates.find(|it| offered.contains(it)).unwrap_or(*one),
            }
        })
    }

    /// The URL of the registry itself.
    pub fn url(&self) -> &PackageUrl {
        &self.url
    }
}

fn without_prefix(text: &str) -> &str {
    let text = mistyped::unquoted(text);
    PREFIXES.into_iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text)
}

impl fmt::Display for PackageServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for PackageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.path)
    }
}

impl PackageUrl {
    /// Parses a URL that a client asks for. A query and a fragment are dropped, and nothing is corrected:
    /// the client sends the login to what it asked for.
    pub fn parse(asked: &str) -> Result<Self, ServerFault> {
        Self::parse_whole(asked.split(['?', '#']).next().unwrap_or_default())
    }

    fn parse_whole(text: &str) -> Result<Self, ServerFault> {
        if text.chars().any(char::is_control) {
            return Err(ServerFault::ControlCharacter);
        }
        let (plain, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (true, rest),
            _ => return Err(ServerFault::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(ServerFault::Query);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(ServerFault::Empty);
        }
        if authority.contains('@') {
            return Err(ServerFault::Userinfo);
        }
        let (host, port) = split_port(authority)?;
        let port = port.map(parse_port).transpose()?.unwrap_or(if plain { 80 } else { 443 });
        Ok(Self { plain, host: canonical_host(host)?, port, path: normal_path(path)? })
    }

    fn scheme(&self) -> &'static str {
        if self.plain { "http" } else { "https" }
    }

    fn authority(&self) -> String {
        let own_port = if self.plain { 80 } else { 443 };
        if self.port == own_port {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The path with every character either in plain or percent-encoded, never both: unreserved characters
/// in plain (RFC 3986, section 6.2.2.2), other percent-encodings in upper case.
fn normal_path(path: &str) -> Result<String, ServerFault> {
    let mut normal = String::with_capacity(path.len() + 1);
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let encoded = byte == b'%';
        let byte = if encoded {
            let digits = [bytes.next(), bytes.next()];
            encoded_byte(digits).ok_or(ServerFault::Path)?
        } else {
            byte
        };
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let plain = !encoded && b"/!$&'()*+,;=:@".contains(&byte);
        if !encoded && matches!(byte, b'\\' | b' ') {
            return Err(ServerFault::Path);
        }
        if unreserved || plain {
            normal.push(char::from(byte));
        } else {
            let _ = write!(normal, "%{byte:02X}");
        }
    }
    if normal.is_empty() {
        normal.push('/');
    }
    for segment in normal.split('/') {
        refuse_ambiguous(segment)?;
    }
    Ok(normal)
}

fn encoded_byte(digits: [Option<u8>; 2]) -> Option<u8> {
    let [Some(high), Some(low)] = digits.map(|digit| char::from(digit?).to_digit(16)) else {
        return None;
    };
    u8::try_from(high * 16 + low).ok()
}

/// Refuses a segment that some server takes for `.` or `..`, or for several segments with one of them: by
/// decoding it, by reading a backslash as a slash, or by dropping what follows a semicolon; and one that some
/// server or program ends at a control character, once it is decoded.
fn refuse_ambiguous(segment: &str) -> Result<(), ServerFault> {
    let mut decoded = segment.as_bytes().to_vec();
    // Some servers decode more than once.
    loop {
        let next: Vec<u8> = percent_decode(&decoded).collect();
        if next == decoded {
            break;
        }
        decoded = next;
    }
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(ServerFault::ControlCharacter);
    }
    let is_dot = |part: &[u8]| {
        let name = part.split(|byte| *byte == b';').next().unwrap_or_default();
        matches!(name, b"." | b"..")
    };
    if decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(is_dot) {
        return Err(ServerFault::DotSegment);
    }
    Ok(())
}
