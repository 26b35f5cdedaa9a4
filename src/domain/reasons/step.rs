//! The steps from the variables of a login to its clients, which `check` walks in this order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step of `check`. The order of the variants is the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// An agent runs and answers this user.
    Agent,
    /// A complete set of variables, or a stored login, declares the registry.
    Declared,
    /// The values can work, as far as they show by themselves.
    Values,
    /// The server's name is understood.
    Server,
    /// AWS issues a token for the declared identity.
    Exchange,
    /// The registry's name resolves.
    NameResolution,
    /// The registry accepts connections.
    Connection,
    /// The TLS handshake succeeds.
    Tls,
    /// The host answers as a registry.
    RegistryApi,
    /// The registry accepts the credential.
    Credential,
    /// The login may pull the image.
    ImageAccess,
    /// The docker configuration of this user names the credential helper.
    Published,
    /// No other login takes precedence.
    NotShadowed,
    /// The credential helper is on `PATH` and runs.
    Helper,
    /// The helper returns the credential that the registry accepted.
    Served,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 15] = [
        Self::Agent,
        Self::Declared,
        Self::Values,
        Self::Server,
        Self::Exchange,
        Self::NameResolution,
        Self::Connection,
        Self::Tls,
        Self::RegistryApi,
        Self::Credential,
        Self::ImageAccess,
        Self::Published,
        Self::NotShadowed,
        Self::Helper,
        Self::Served,
    ];

    /// The stable identifier.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Declared => "declared",
            Self::Values => "values",
            Self::Server => "server",
            Self::Exchange => "exchange",
            Self::NameResolution => "name-resolution",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::RegistryApi => "registry-api",
            Self::Credential => "credential",
            Self::ImageAccess => "image-access",
            Self::Published => "published",
            Self::NotShadowed => "not-shadowed",
            Self::Helper => "helper",
            Self::Served => "served",
        }
    }

    /// The step with this identifier. `None` for one of another version.
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == id)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_steps_are_listed_in_order_by_their_identifiers() {
        assert!(Step::ALL.is_sorted());
        for step in Step::ALL {
            assert_eq!(Step::named(step.as_str()), Some(step));
            assert_eq!(serde_json::to_value(step).ok(), Some(step.as_str().into()));
        }
        assert_eq!(Step::named("other"), None);
    }
}
