//! What is to be said of a login, whatever the registry says.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What the agent itself knows of a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum LoginReason {
    /// The configuration says `verify = false`.
    #[error("{server} was not asked, because the configuration says verify = false")]
    NotAsked {
        /// The canonical server.
        server: String,
    },
    /// A token that was declared as a password ends within the hour.
    #[error("the token declared for {server} ends at {at}, and only you can renew it")]
    TokenEnds {
        /// The canonical server.
        server: String,
        /// When, in UTC.
        at: String,
    },
    /// A token that was declared as a password has ended.
    #[error("the token declared for {server} ended at {at}")]
    TokenEnded {
        /// The canonical server.
        server: String,
        /// When, in UTC.
        at: String,
    },
    /// The file of stored logins cannot be read.
    #[error("{path} with the logins that docker login stored cannot be used: {fault}")]
    StoredUnreadable {
        /// The file.
        path: String,
        /// The cause.
        fault: String,
    },
}

impl LoginReason {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAsked { .. } => "not-verified",
            Self::TokenEnds { .. } => "token-ends-soon",
            Self::TokenEnded { .. } => "token-ended",
            Self::StoredUnreadable { .. } => "stored-logins-unreadable",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::NotAsked { .. } => "remove verify = false to have logins checked".to_owned(),
            Self::TokenEnds { .. } | Self::TokenEnded { .. } => "set the password to a new token; for AWS ECR declare an access key and its secret key instead, which the agent renews by itself".to_owned(),
            Self::StoredUnreadable { path, .. } => format!("remove {path} and log in again"),
        }
    }
}
