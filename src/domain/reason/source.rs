//! What can be wrong with a file that variables come from.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a source could not be read, whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum SourceReason {
    /// The file is not in its format; what was known before is kept.
    #[error("{path} could not be understood ({fault}); what it said before still counts")]
    Malformed {
        /// The file.
        path: String,
        /// Where the fault is, without the text.
        fault: String,
    },
    /// There is nothing in a file that should hold a value.
    #[error("{path} is empty")]
    Empty {
        /// The file.
        path: String,
    },
    /// The file could not be read.
    #[error("{path} could not be read: {fault}")]
    Unreadable {
        /// The file.
        path: String,
        /// The error of the operating system.
        fault: String,
    },
}

impl SourceReason {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "file-malformed",
            Self::Empty { .. } => "file-empty",
            Self::Unreadable { .. } => "file-unreadable",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Malformed { path, .. } => format!("write {path} anew, whole"),
            Self::Empty { path } => format!("write the value into {path}"),
            Self::Unreadable { path, .. } => format!("make {path} readable for the agent's user"),
        }
    }
}
