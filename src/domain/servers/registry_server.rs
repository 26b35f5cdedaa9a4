//! What a login is for: a container registry or a package registry.

use std::fmt;

use super::package_server::PackageServer;
use super::server::Server;
use crate::domain::declarations::variable::Family;

/// A registry. A client that asks for one family never gets a login of the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RegistryServer {
    /// A container registry.
    Container(Server),
    /// A package registry.
    Package(PackageServer),
}

impl RegistryServer {
    /// The canonical name, which is unique over both families: a package registry's is a URL.
    pub fn name(&self) -> &str {
        match self {
            Self::Container(server) => server.name(),
            Self::Package(server) => server.name(),
        }
    }

    /// The name as people write it.
    pub fn shown(&self) -> &str {
        match self {
            Self::Container(server) => server.shown(),
            Self::Package(server) => server.name(),
        }
    }

    /// The family of sets that declare it.
    pub fn family(&self) -> Family {
        match self {
            Self::Container(_) => Family::Container,
            Self::Package(_) => Family::Package,
        }
    }

    /// The name of its kind in `status`.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Container(server) => server.kind().as_str(),
            Self::Package(server) => server.kind().as_str(),
        }
    }

    /// The declared transport, `https` or `http`; `None` if none is stated.
    pub fn transport(&self) -> Option<&'static str> {
        match self {
            Self::Container(server) => server.scheme().as_str(),
            Self::Package(server) => Some(server.scheme()),
        }
    }

    /// The host and port that requests go to, as the authority of a URL.
    pub fn authority(&self) -> &str {
        match self {
            Self::Container(server) => server.authority(),
            Self::Package(server) => server.authority(),
        }
    }

    /// The keys under which docker's clients look for its credential; none of a package registry.
    pub fn keys(&self) -> Vec<String> {
        self.container().map(Server::keys).unwrap_or_default()
    }

    /// The container registry, if it is one.
    pub fn container(&self) -> Option<&Server> {
        match self {
            Self::Container(server) => Some(server),
            Self::Package(_) => None,
        }
    }

    /// The package registry, if it is one.
    pub fn package(&self) -> Option<&PackageServer> {
        match self {
            Self::Container(_) => None,
            Self::Package(server) => Some(server),
        }
    }
}

impl From<Server> for RegistryServer {
    fn from(server: Server) -> Self {
        Self::Container(server)
    }
}

impl From<PackageServer> for RegistryServer {
    fn from(server: PackageServer) -> Self {
        Self::Package(server)
    }
}

impl fmt::Display for RegistryServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
