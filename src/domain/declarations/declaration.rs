//! `<NAME>_CONTAINER_REGISTRY_*` sets: what is declared, by which source, and what is missing.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use crate::domain::credentials::secret::Secret;
use crate::domain::servers::server::Server;

/// One complete set: enough to try a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The `<NAME>`; `GITHUB_TOKEN` for the ambient login.
    pub name: String,
    /// The registry.
    pub server: Server,
    /// Who logs in.
    pub identity: Identity,
    /// A file with the certificates of the authority that signed the registry's (`_CA_FILE`).
    pub ca_file: Option<PathBuf>,
    /// The label of the source that its password comes from.
    pub source: String,
}

/// The source that stands above all others: what `docker login` stored.
pub const STORED: &str = "docker login";

impl Declaration {
    /// Whether it is the user's own `docker login` rather than variables.
    pub fn is_stored(&self) -> bool {
        self.source == STORED
    }

    /// Whether `other` makes the same login, under whatever name and from whatever source.
    pub fn is_same_login(&self, other: &Self) -> bool {
        self.server == other.server
            && self.identity == other.identity
            && self.ca_file == other.ca_file
            && self.is_stored() == other.is_stored()
    }

    /// A number that differs when the login does, and tells nothing of its secrets.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.server, &self.identity, &self.ca_file, self.is_stored()).hash(&mut hasher);
        hasher.finish()
    }
}

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A user and a password that the registry is shown as they are.
    Password {
        /// The user name.
        user: String,
        /// The password or token.
        password: Secret,
    },
    /// An AWS identity, which is exchanged for an ECR token.
    Aws(AwsIdentity),
}

/// Whom AWS is asked as. Without keys it is the default chain, or the profile's.
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
