//! What a registry can answer, and what keeps it from answering.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a registry did not accept a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryReason {
    /// The registry refused user and password.
    #[error("{server} refused the login of {user} ({seen})")]
    Refused {
        /// The canonical server.
        server: String,
        /// The user name that was sent.
        user: String,
        /// Step, status and the registry's own words, cleaned up.
        seen: String,
    },
}

impl RegistryReason {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Refused { .. } => "set the user and the password again".to_owned(),
        }
    }
}
