//! The realm rule: which token server may be shown a password.
//!
//! A registry that speaks Bearer names the URL that swaps a password for a token. Whoever controls
//! that answer controls where the password goes, and several clients have sent it anywhere. Here it
//! goes to the registry's own host and port, to two well-known pairs, and to hosts the user allowed
//! in the configuration.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::domain::servers::kind::Kind;
use crate::domain::servers::server::{Scheme, Server, is_loopback};

/// What may be done with a realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealmRule {
    /// It may see the password.
    Send(Url),
    /// It may, once the user allows it; the origin is `HOST` or `HOST:PORT`.
    Ask {
        /// What to write into the configuration.
        host: String,
    },
    /// It may never.
    Never {
        /// Scheme, host and port of the realm.
        origin: String,
        /// What is wrong with it.
        fault: RealmFault,
    },
    /// It is no URL with a host: the registry is at fault.
    NotAUrl,
}

/// Why a realm must not see a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RealmFault {
    /// It is not https.
    Plain,
    /// It holds a user or a password.
    Userinfo,
    /// It is an address or this machine, not a host name.
    Address,
    /// It is a link-local address, where clouds keep their metadata.
    LinkLocal,
}

impl fmt::Display for RealmFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "which is not https",
            Self::Userinfo => "which holds a user name",
            Self::Address => "which is not the registry's own address",
            Self::LinkLocal => "which is a link-local address",
        })
    }
}

/// Judges the realm that `server` named. `allowed` are the hosts, with a port where it is not 443,
/// that the user allowed for this registry.
pub fn judge(server: &Server, realm: &str, allowed: &[String]) -> RealmRule {
    let Ok(url) = Url::parse(realm) else { return RealmRule::NotAUrl };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return RealmRule::NotAUrl;
    };
    let never = |fault| RealmRule::Never { origin: url.origin().ascii_serialization(), fault };
    let secure = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return RealmRule::NotAUrl,
    };
    if !url.username().is_empty() || url.password().is_some() {
        return never(RealmFault::Userinfo);
    }
    if server.is_loopback() && host == server.host() && server.scheme() != Scheme::Https {
        return RealmRule::Send(url);
    }
    let own = host == server.host() && port == server.port();
    if own && (secure || server.scheme() == Scheme::Http) {
        return RealmRule::Send(url);
    }
    if !secure {
        return never(RealmFault::Plain);
    }
    if url.host().is_some_and(|host| is_link_local(&host)) {
        return never(RealmFault::LinkLocal);
    }
    if is_pair(server, host, port) || is_allowed(allowed, host, port) {
        return RealmRule::Send(url);
    }
    if is_loopback(host) || !matches!(url.host(), Some(Host::Domain(_))) {
        return never(RealmFault::Address);
    }
    let host = if port == 443 { host.to_owned() } else { format!("{host}:{port}") };
    RealmRule::Ask { host }
}

/// The two registries whose realm is known to be elsewhere.
fn is_pair(server: &Server, host: &str, port: u16) -> bool {
    let realm = match (server.kind(), server.name()) {
        (Kind::DockerHub, _) => "auth.docker.io",
        (_, "registry.gitlab.com") => "gitlab.com",
        _ => return false,
    };
    host == realm && port == 443
}

fn is_allowed(allowed: &[String], host: &str, port: u16) -> bool {
    allowed.iter().any(|entry| {
        Server::parse(entry)
            .is_ok_and(|(allowed, _)| allowed.host() == host && allowed.port() == port)
    })
}

fn is_link_local(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_link_local(),
        Host::Ipv6(address) => {
            address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some_and(|address| address.is_link_local())
        }
        Host::Domain(_) => false,
    }
}
