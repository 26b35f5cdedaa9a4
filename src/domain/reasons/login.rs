//! Reasons about a login that do not depend on the registry.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::step::Step;
use super::{FixContext, Severity, shell_word, shown};
use crate::domain::declarations::variable::Field;

/// What the agent itself knows about a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum LoginReason {
    /// The configuration sets `verify = false`.
    #[error("the login for {} is not verified: the configuration sets `verify = false`", shown(.server))]
    NotAsked {
        /// The canonical server.
        server: String,
    },
    /// A declared token expires within the hour.
    #[error("the token declared for {} expires at {at} and cannot be renewed automatically", shown(.server))]
    TokenEnds {
        /// The canonical server.
        server: String,
        /// When, in UTC.
        at: String,
    },
    /// A declared token has expired.
    #[error("the token declared for {} expired at {at}", shown(.server))]
    TokenEnded {
        /// The canonical server.
        server: String,
        /// When, in UTC.
        at: String,
    },
    /// A remark: the credential expires before `BuildKit` asks for it again.
    #[error("the token for {server} expires at {at}, and BuildKit uses it for up to 4 min 50 s")]
    ShorterThanBuild {
        /// The server as people write it.
        server: String,
        /// When, in UTC.
        at: String,
    },
    /// The file of stored logins cannot be read.
    #[error("the logins that `docker login` stored in {path} cannot be used: {fault}")]
    StoredUnreadable {
        /// The path of the file.
        path: String,
        /// Why the file cannot be read.
        fault: String,
    },
    /// The file system of the file does not respond.
    #[error(
        "the logins that `docker login` stored in {path} cannot be read: its file system does not respond"
    )]
    StoredHanging {
        /// The path of the file.
        path: String,
    },
}

impl LoginReason {
    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAsked { .. } => "not-verified",
            Self::TokenEnds { .. } => "token-ends-soon",
            Self::TokenEnded { .. } => "token-ended",
            Self::ShorterThanBuild { .. } => "token-shorter-than-build",
            Self::StoredUnreadable { .. } => "stored-logins-unreadable",
            Self::StoredHanging { .. } => "stored-logins-hang",
        }
    }

    /// Whether it keeps clients from a login.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NotAsked { .. } | Self::TokenEnds { .. } | Self::ShorterThanBuild { .. } => {
                Severity::Remark
            }
            Self::TokenEnded { .. }
            | Self::StoredUnreadable { .. }
            | Self::StoredHanging { .. } => Severity::Error,
        }
    }

    /// The step of `check` that it belongs to.
    pub fn step(&self) -> Option<Step> {
        match self {
            // Nothing was asked, so no step of the verification happened.
            Self::NotAsked { .. } => None,
            Self::TokenEnds { .. } | Self::TokenEnded { .. } => Some(Step::Values),
            Self::ShorterThanBuild { .. } => Some(Step::Credential),
            Self::StoredUnreadable { .. } | Self::StoredHanging { .. } => Some(Step::Declared),
        }
    }

    /// What to do about it.
    pub fn fix(&self, login: &FixContext) -> String {
        match self {
            Self::NotAsked { .. } => {
                "remove `verify = false` from the configuration if logins should be verified"
                    .to_owned()
            }
            Self::TokenEnds { server, .. } | Self::TokenEnded { server, .. } => {
                new_token(server, login)
            }
            Self::ShorterThanBuild { .. } => {
                "declare a credential that lasts longer than a build, or start a build again if it fails to log in"
                    .to_owned()
            }
            Self::StoredUnreadable { path, .. } => {
                let path = shell_word(path);
                format!(
                    "move the file away with `mv -i {path} {path}.broken`, then log in again with `docker login`"
                )
            }
            Self::StoredHanging { path } => format!(
                "make the file system of {path} respond again; the agent then reads the file"
            ),
        }
    }
}

/// How to replace a token that expires. An ECR token is better replaced by keys, which the agent
/// exchanges for tokens itself.
pub(super) fn new_token(server: &str, login: &FixContext) -> String {
    if server.contains(".dkr.ecr") || server.contains(".dkr-ecr") || server == "public.ecr.aws" {
        return login.set(&[
            (Field::User, "an AWS access key ID"),
            (Field::Password, "its secret access key, from which the agent gets tokens by itself"),
        ]);
    }
    login.set(&[(Field::Password, "a new token")])
}
