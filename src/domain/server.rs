//! What a registry is called: parsed once, matched on whole labels.

use std::fmt;

use thiserror::Error;

/// A registry server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Server {
    name: String,
    kind: Kind,
    scheme: Scheme,
}

/// What was said of the transport when the server was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `https://`: TLS and nothing else.
    Https,
    /// `http://`: plain, as declared.
    Http,
    /// No scheme: TLS, but a loopback host that speaks no TLS may be spoken to plainly.
    Unstated,
}

/// The kind of a registry, which decides its rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A private AWS ECR registry.
    Ecr(EcrHost),
    /// The public AWS ECR gallery.
    EcrPublic,
    /// Docker Hub.
    DockerHub,
    /// GitHub's container registry.
    Ghcr,
    /// Azure's container registry.
    Acr,
    /// Google's container registry.
    Gcr,
    /// Google's artifact registry.
    ArtifactRegistry,
    /// Any other.
    Generic,
}

/// What the host name of a private ECR registry says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EcrHost {
    /// The twelve digits of the AWS account.
    pub account: String,
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// Whether the FIPS endpoints are meant.
    pub fips: bool,
    /// Whether the dual-stack endpoints are meant.
    pub dual_stack: bool,
}

/// Why a text is not a server. Never holds the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServerFault {
    /// Nothing, or only blanks.
    #[error("empty server")]
    Empty,
}

impl Server {
    /// Parses any form people type. The second value is the path that was dropped, if any.
    pub fn parse(_declared: &str) -> Result<(Self, Option<String>), ServerFault> {
        Err(ServerFault::Empty)
    }

    /// The canonical name: the lower-case host, with a port where it is not the scheme's own;
    /// `https://index.docker.io/v1/` for Docker Hub.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its kind.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What was declared of the transport.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The keys under which clients look for its credential.
    pub fn keys(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    /// Whether a client that asks for `asked` means this registry.
    pub fn answers_to(&self, asked: &str) -> bool {
        asked == self.name
    }

    /// The host and port that speak the registry API, as an authority for a URL
    /// (`registry-1.docker.io` for Docker Hub).
    pub fn authority(&self) -> &str {
        &self.name
    }

    /// Whether the host is a loopback name or address.
    pub fn is_loopback(&self) -> bool {
        false
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Kind {
    /// The word for it in `status`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ecr(_) => "ecr",
            Self::EcrPublic => "ecr-public",
            Self::DockerHub => "docker-hub",
            Self::Ghcr => "ghcr",
            Self::Acr => "acr",
            Self::Gcr => "gcr",
            Self::ArtifactRegistry => "artifact-registry",
            Self::Generic => "generic",
        }
    }
}
