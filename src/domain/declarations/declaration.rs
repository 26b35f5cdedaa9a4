//! A complete `<NAME>_CONTAINER_REGISTRY_*` or `<NAME>_PACKAGE_REGISTRY_*` set.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use super::discovery::AMBIENT_NAME;
use super::variable::Family;
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::secret::Secret;
use crate::domain::reasons::SourcedVariable;
use crate::domain::servers::registry_server::RegistryServer;

/// A complete set, which is enough for a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The `<NAME>`; `GITHUB_TOKEN` for the ambient login.
    pub name: String,
    /// The registry.
    pub server: RegistryServer,
    /// The identity that logs in.
    pub identity: Identity,
    /// How package clients send the credential (`_SCHEME`); by kind and client if `None`.
    pub auth_scheme: Option<AuthScheme>,
    /// A file with CA certificates for this registry (`_CA_FILE`).
    pub ca_file: Option<PathBuf>,
    /// The label of the source that its password comes from.
    pub source: String,
    /// The variables of the set, and where each comes from; none for a stored login.
    pub variables: Vec<SourcedVariable>,
    /// The file that the password was read from, if `_PASSWORD_FILE` names one.
    pub password_file: Option<PathBuf>,
    /// Its details if `docker login` stored it; `None` if variables declare it.
    pub stored: Option<StoredAs>,
}

/// The details of a login that `docker login` stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAs {
    /// The server in the client's spelling.
    pub key: String,
    /// The `<NAME>` of the declared login that it overrides.
    pub covers: Option<String>,
}

/// The label of the highest source: what `docker login` stored.
pub const STORED: &str = "docker login";

impl Declaration {
    /// Whether it comes from `docker login` rather than from variables.
    pub fn is_stored(&self) -> bool {
        self.stored.is_some()
    }

    /// The declared `<NAME>`, also while a stored login overrides the declared one.
    pub fn called(&self) -> Option<&str> {
        match &self.stored {
            Some(stored) => stored.covers.as_deref(),
            None => Some(&self.name),
        }
    }

    /// The `<NAME>` of its variables; `None` for a stored login and for `GITHUB_TOKEN`.
    pub fn set_name(&self) -> Option<&str> {
        let has_set = !self.is_stored() && self.name != AMBIENT_NAME;
        has_set.then_some(&self.name)
    }

    /// The family of its set.
    pub fn family(&self) -> Family {
        self.server.family()
    }

    /// The user, as messages name it.
    pub fn user_variable(&self) -> SourcedVariable {
        self.variable("the user", &["_USER"])
    }

    /// The password, or the token, as messages name it.
    pub fn password_variable(&self) -> SourcedVariable {
        self.variable("the password", &["_PASSWORD", "_PASSWORD_FILE", AMBIENT_NAME])
    }

    /// The first variable with one of these ends; `docker login` sets none.
    fn variable(&self, what: &str, ends: &[&str]) -> SourcedVariable {
        let named = |end: &&str| self.variables.iter().find(|it| it.variable.ends_with(end));
        let found = ends.iter().find_map(named).cloned();
        found.unwrap_or_else(|| SourcedVariable::new(what, self.source.as_str()))
    }

    /// Whether `other` leads to the same login, regardless of name and source.
    pub fn is_same_login(&self, other: &Self) -> bool {
        self.server == other.server
            && self.identity == other.identity
            && self.auth_scheme == other.auth_scheme
            && self.ca_file == other.ca_file
            && self.is_stored() == other.is_stored()
    }

    /// A hash that changes with the login and does not reveal its secrets.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let Self { server, identity, auth_scheme, ca_file, .. } = self;
        (server, identity, auth_scheme, ca_file, self.is_stored()).hash(&mut hasher);
        hasher.finish()
    }
}

/// The identity that logs in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A user and a password, sent to the registry unchanged.
    Password {
        /// The user name.
        user: String,
        /// The password or token.
        password: Secret,
    },
    /// A token without a user, sent to a package registry unchanged.
    Token(Secret),
    /// An AWS identity, which is exchanged for a token of ECR or `CodeArtifact`.
    Aws(AwsIdentity),
}

impl Identity {
    /// The user and the secret, if they are sent unchanged; the user of a token is empty.
    pub fn as_declared(&self) -> Option<(&str, &Secret)> {
        match self {
            Self::Password { user, password } => Some((user, password)),
            Self::Token(token) => Some(("", token)),
            Self::Aws(_) => None,
        }
    }
}

/// An AWS identity: the declared keys, or else the profile, or else the default chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AwsIdentity {
    /// The declared keys.
    pub keys: Option<AwsKeys>,
    /// A role to assume first.
    pub role_arn: Option<String>,
    /// The profile of the shared AWS files.
    pub profile: Option<String>,
}

/// A pair of AWS keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AwsKeys {
    /// The access key ID, `AKIA…` or `ASIA…`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token of temporary keys.
    pub session_token: Option<Secret>,
}
