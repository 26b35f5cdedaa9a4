//! What a declared value shows by itself, before it is sent anywhere.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Severity, SourcedVariable};
use crate::domain::declarations::discovery::identity::SECRET_KEY;

/// A value that its registry does not accept, most likely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum ValueReason {
    /// A fine-grained GitHub token for a registry of GitHub.
    #[error("{value} is a fine-grained GitHub token, which {host} does not accept")]
    FineGrainedToken {
        /// The registry's host.
        #[serde(default)]
        host: String,
        /// The password.
        value: SourcedVariable,
    },
    /// A password that is no token, with the user `AWS`.
    #[error("{value} is not an ECR token, which it has to be because the user is AWS")]
    NotAnEcrToken {
        /// The password.
        value: SourcedVariable,
    },
    /// A remark: a secret access key of AWS is longer or shorter.
    #[error("{value} is no AWS secret access key, which has {} characters", SECRET_KEY)]
    SecretKeyLength {
        /// The password.
        value: SourcedVariable,
    },
    /// A remark: an e-mail address as the user of Docker Hub.
    #[error("{value} is an e-mail address, which Docker Hub often rejects")]
    Email {
        /// The user.
        value: SourcedVariable,
    },
}

impl ValueReason {
    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::FineGrainedToken { .. } => "fine-grained-token",
            Self::NotAnEcrToken { .. } => "not-an-ecr-token",
            Self::SecretKeyLength { .. } => "aws-secret-key-length",
            Self::Email { .. } => "email-as-user",
        }
    }

    /// Whether it keeps clients from a login.
    pub fn severity(&self) -> Severity {
        match self {
            Self::FineGrainedToken { .. } | Self::NotAnEcrToken { .. } => Severity::Error,
            Self::SecretKeyLength { .. } | Self::Email { .. } => Severity::Remark,
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::FineGrainedToken { value, .. } => {
                value.set_to("a classic personal access token with read:packages")
            }
            Self::NotAnEcrToken { value } => {
                let user =
                    value.variable.replace("_PASSWORD_FILE", "_USER").replace("_PASSWORD", "_USER");
                format!(
                    "{}; or set {user} to an AWS access key ID and the password to its secret access key, from which the agent gets tokens by itself",
                    value.set_to(
                        "the output of `aws ecr get-login-password` (AWS CLI; valid for 12 hours)"
                    )
                )
            }
            Self::SecretKeyLength { value } => {
                value.set_to("all of the secret access key, and nothing else")
            }
            Self::Email { value } => value.set_to("the Docker ID"),
        }
    }
}
