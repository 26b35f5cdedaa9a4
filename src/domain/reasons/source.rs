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
    /// One value of a file could not be understood.
    #[error("{path} gives {variable} a value that could not be understood")]
    BadValue {
        /// The file.
        path: String,
        /// The variable.
        variable: String,
    },
    /// A link stands where only a file may.
    #[error("{path} is a symbolic link, which is not followed there")]
    Link {
        /// The link.
        path: String,
    },
    /// A device, a pipe or a directory stands where a file should.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// What stands there.
        path: String,
    },
    /// The file is larger than any that could be meant.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// The most that is read.
        limit: u64,
    },
    /// Changes are not reported by the kernel, and so seen late.
    #[error("{path} cannot be watched, and is looked at every {seconds} seconds instead: {fault}")]
    NotWatched {
        /// The file or directory.
        path: String,
        /// The time between two looks.
        seconds: u64,
        /// The error of the operating system.
        fault: String,
    },
    /// There is no file where one is named.
    #[error("{path} does not exist")]
    Missing {
        /// The file.
        path: String,
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
    /// The file or directory that it is about.
    pub fn path(&self) -> &str {
        match self {
            Self::Malformed { path, .. }
            | Self::BadValue { path, .. }
            | Self::Link { path }
            | Self::NotAFile { path }
            | Self::TooLarge { path, .. }
            | Self::NotWatched { path, .. }
            | Self::Missing { path }
            | Self::Empty { path }
            | Self::Unreadable { path, .. } => path,
        }
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "file-malformed",
            Self::BadValue { .. } => "value-malformed",
            Self::Link { .. } => "file-is-a-link",
            Self::NotAFile { .. } => "file-not-regular",
            Self::TooLarge { .. } => "file-too-large",
            Self::NotWatched { .. } => "file-not-watched",
            Self::Missing { .. } => "file-missing",
            Self::Empty { .. } => "file-empty",
            Self::Unreadable { .. } => "file-unreadable",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Malformed { path, .. } => format!("write {path} anew, whole"),
            Self::BadValue { path, variable } => format!("write {variable} in {path} anew"),
            Self::Link { path } => format!("put the file itself at {path}"),
            Self::NotAFile { path } => format!("put a regular file at {path}, or remove it"),
            Self::TooLarge { path, .. } => format!("leave nothing but variables in {path}"),
            Self::NotWatched { .. } => {
                "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances".to_owned()
            }
            Self::Missing { path } | Self::Empty { path } => format!("write the value into {path}"),
            Self::Unreadable { path, .. } => format!("make {path} readable for the agent's user"),
        }
    }
}
