//! What is to be said of a login, whatever the registry says.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::shell_word;

/// What the agent itself knows of a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum LoginReason {
    /// The configuration says `verify = false`.
    #[error("the login for {server} is not verified: the configuration sets `verify = false`")]
    NotAsked {
        /// The canonical server.
        server: String,
    },
    /// A token that was declared as a password ends within the hour.
    #[error("the token declared for {server} expires at {at} and cannot be renewed automatically")]
    TokenEnds {
        /// The canonical server.
        server: String,
        /// When, in UTC.
        at: String,
    },
    /// A token that was declared as a password has ended.
    #[error("the token declared for {server} expired at {at}")]
    TokenEnded {
        /// The canonical server.
        server: String,
        /// When, in UTC.
        at: String,
    },
    /// The file of stored logins cannot be read.
    #[error("the logins that `docker login` stored in {path} cannot be used: {fault}")]
    StoredUnreadable {
        /// The file.
        path: String,
        /// The cause.
        fault: String,
    },
    /// The file system of the file does not answer.
    #[error(
        "the logins that `docker login` stored in {path} cannot be read: its file system does not respond"
    )]
    StoredHanging {
        /// The file.
        path: String,
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
            Self::StoredHanging { .. } => "stored-logins-hang",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::NotAsked { .. } => "no action needed; remove `verify = false` from the configuration to verify logins".to_owned(),
            Self::TokenEnds { .. } | Self::TokenEnded { .. } => "set the password to a new token; for AWS ECR, declare an access key ID and its secret key instead, and the agent renews the token automatically".to_owned(),
            Self::StoredUnreadable { path, .. } => format!("run `rm {}`, then log in again with `docker login`", shell_word(path)),
            Self::StoredHanging { path } => format!("make the file system of {path} respond again; the agent then reads the file"),
        }
    }
}
