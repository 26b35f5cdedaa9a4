//! What can keep the docker configuration from pointing at the helper.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why clients may not find what the agent holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum PublishReason {
    /// The file is not a JSON object.
    #[error("{path} is not a JSON object ({fault}); it is left as it is")]
    Malformed {
        /// The file.
        path: String,
        /// Line and column of the fault, without the text.
        fault: String,
    },
}

impl PublishReason {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "docker-config-malformed",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Malformed { path, .. } => format!("repair or remove {path}"),
        }
    }
}
