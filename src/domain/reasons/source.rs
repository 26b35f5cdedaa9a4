//! What can be wrong with a file that variables come from.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::shell_word;

/// Why a source could not be read, whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum SourceReason {
    /// The file is not in its format; what was known before is kept.
    #[error("{path} cannot be parsed ({fault}); its last good values stay in use")]
    Malformed {
        /// The file.
        path: String,
        /// Where the fault is, without the text.
        fault: String,
    },
    /// One value of a file could not be understood.
    #[error("{path} contains a value for {variable} that cannot be decoded")]
    BadValue {
        /// The file.
        path: String,
        /// The variable.
        variable: String,
    },
    /// A link stands where only a file may.
    #[error("{path} is ignored: it is a symbolic link, and links are not followed there")]
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
    #[error("{path} cannot be watched ({fault}); it is checked every {seconds} s instead")]
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
    /// Somebody keeps the file open for writing.
    #[error("{path} is kept open for writing by another process, so it may be incomplete")]
    KeptOpen {
        /// The file.
        path: String,
    },
    /// The file system does not answer: its server is gone, for example.
    #[error("{path} cannot be read: its file system does not respond")]
    Hanging {
        /// The file or directory.
        path: String,
    },
    /// A file of the configuration is malformed.
    #[error("{fault}; the agent keeps the configuration it has")]
    Configuration {
        /// The file.
        path: String,
        /// What is wrong with it; names the file and the line.
        fault: String,
    },
    /// The file could not be read.
    #[error("{path} cannot be read: {fault}")]
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
            | Self::KeptOpen { path }
            | Self::Hanging { path }
            | Self::Configuration { path, .. }
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
            Self::KeptOpen { .. } => "file-kept-open",
            Self::Hanging { .. } => "file-hangs",
            Self::Configuration { .. } => "configuration-malformed",
            Self::Unreadable { .. } => "file-unreadable",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Malformed { path, .. } => format!("correct {path}; the agent reads it again when it changes"),
            Self::BadValue { path, variable } => format!("correct the value of {variable} in {path}"),
            Self::Link { path } => format!("replace {path} with a regular file"),
            Self::NotAFile { path } => format!("replace {path} with a regular file, or remove it"),
            Self::TooLarge { path, limit } => format!("reduce {path} to at most {limit} bytes"),
            Self::NotWatched { .. } => {
                "raise the inotify limits on the host: `sudo sysctl -w fs.inotify.max_user_watches=1048576 fs.inotify.max_user_instances=1024`".to_owned()
            }
            Self::Missing { path } | Self::Empty { path } => format!("write the value into {path}"),
            Self::KeptOpen { path } => format!(
                "stop the process that keeps {path} open; to find it, run `sudo fuser -v {}`",
                shell_word(path)
            ),
            Self::Hanging { path } => {
                format!("make the file system of {path} respond again, or unmount it")
            }
            Self::Configuration { path, .. } => {
                format!("correct {path}; the agent checks it again when it changes")
            }
            Self::Unreadable { path, .. } => format!("give the agent's user permission to read {path}"),
        }
    }
}
