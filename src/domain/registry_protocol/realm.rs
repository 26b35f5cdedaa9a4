//! The realm rule: which token servers may receive a password.
//!
//! In Bearer authentication, the registry names the URL that exchanges a password for a token.
//! Whoever controls that response controls where the password goes, and several clients have sent
//! it anywhere. The agent sends it only to the registry's own host and port, to two well-known
//! pairs, and to hosts that the user allowed in the configuration.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::domain::servers::kind::Kind;
use crate::domain::servers::server::{Scheme, Server, is_loopback};

/// Whether a realm may receive the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealmRule {
    /// The realm may receive the password.
    Send(Url),
    /// The realm may receive the password once the user allows it.
    Ask {
        /// The host to allow in the configuration, `HOST` or `HOST:PORT`.
        host: String,
    },
    /// The realm may never receive the password.
    Never {
        /// Scheme, host and port of the realm.
        origin: String,
        /// What is wrong with it.
        fault: RealmFault,
    },
    /// The realm is not a URL with a host, which is a fault of the registry.
    NotAUrl,
}

/// Why a realm must not receive a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RealmFault {
    /// Its scheme is not https.
    Plain,
    /// It contains a user name or a password.
    Userinfo,
    /// Its host is an IP address or this machine, not a DNS name.
    Address,
    /// Its host is a link-local address, where clouds serve instance metadata.
    LinkLocal,
}

impl fmt::Display for RealmFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "which is not https",
            Self::Userinfo => "whose URL contains a user name or password",
            Self::Address => "which is not the registry's own address",
            Self::LinkLocal => "which is a link-local address",
        })
    }
}

/// Applies the rule to the realm that `server` named. `allowed` lists the hosts that the user
/// allowed for this registry, with the port if it is not 443.
pub fn rule_for(server: &Server, realm: &str, allowed: &[String]) -> RealmRule {
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

/// The two registries whose realm is known to be on another host.
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
