//! What AWS can answer when keys are exchanged for a token.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why there is no ECR token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum AwsReason {
    /// AWS does not know the access key.
    #[error("AWS does not know the access key {key}")]
    UnknownAccessKey {
        /// The access key ID, shortened.
        key: String,
    },
}

impl AwsReason {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownAccessKey { .. } => "aws-unknown-access-key",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::UnknownAccessKey { .. } => {
                "set the user to an access key ID that exists in this AWS account".to_owned()
            }
        }
    }
}
