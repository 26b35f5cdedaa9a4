//! Why a source of variables cannot be read.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::step::Step;
use super::{ReasonKind, Remedy, Severity, shell_word};

/// Where the Codespaces platform writes its files.
pub(super) const CODESPACES: &str = "/workspaces/.codespaces/";

/// A process that has a file open for writing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Its process ID.
    pub pid: i32,
    /// The name of its program.
    pub program: Box<str>,
}

/// Why a source could not be read, completely or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum SourceReason {
    /// The file cannot be parsed.
    #[error("{path} cannot be parsed ({fault}){}", if *.has_values { "; its last good values stay in use" } else { "" })]
    Malformed {
        /// The path of the file.
        path: String,
        /// The kind and position of the fault, without the text.
        fault: String,
        /// Whether the file was parsed before.
        #[serde(default)]
        has_values: bool,
    },
    /// One value in a file cannot be decoded.
    #[error("{path} contains a value for {variable} that cannot be decoded")]
    BadValue {
        /// The path of the file.
        path: String,
        /// The name of the variable.
        variable: String,
    },
    /// The path is a symbolic link where links are not followed.
    #[error("{path} is ignored: it is a symbolic link, and links are not followed there")]
    Link {
        /// The path of the link.
        path: String,
    },
    /// A file of the Codespaces platform, or its directory, belongs to another user.
    #[error("{path} is ignored: {} belongs to {owner}, not to you or root", if *.is_directory { "its directory" } else { "it" })]
    OtherOwner {
        /// The path of the file.
        path: String,
        /// The user.
        owner: String,
        /// Whether it is the directory that belongs to that user.
        is_directory: bool,
    },
    /// The path is a device, a pipe or a directory.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// The path as configured or declared.
        path: String,
    },
    /// The file exceeds the size limit.
    #[error("{path} is larger than {} MiB", .limit >> 20)]
    TooLarge {
        /// The path of the file.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The kernel does not report changes, so the path is polled.
    #[error("{path} cannot be watched ({fault}); it is checked every {seconds} s instead")]
    NotWatched {
        /// The path of the file or directory.
        path: String,
        /// The polling interval.
        seconds: u64,
        /// The error of the operating system.
        fault: String,
    },
    /// The file does not exist.
    #[error("{path} does not exist")]
    Missing {
        /// The path of the file.
        path: String,
    },
    /// A file or directory that `sources` names does not exist.
    #[error("{path} does not exist, but `sources` in the configuration names it")]
    NoSource {
        /// The path of the file or directory.
        path: String,
    },
    /// A file that should contain a value is empty.
    #[error("{path} is empty")]
    Empty {
        /// The path of the file.
        path: String,
    },
    /// Another process keeps the file open for writing.
    #[error("{path} is kept open for writing by {}, so it may be incomplete", shown(.writer.as_ref()))]
    KeptOpen {
        /// The path of the file.
        path: String,
        /// The process, if it is the agent's user's.
        writer: Option<Writer>,
    },
    /// The file system does not respond, for example because its server is gone.
    #[error("{path} cannot be read: its file system does not respond")]
    Hanging {
        /// The path of the file or directory.
        path: String,
    },
    /// A configuration file is malformed.
    #[error("{fault}; the agent keeps the configuration it has")]
    Configuration {
        /// The path of the file.
        path: String,
        /// What is wrong, with the file and the line.
        fault: String,
    },
    /// The configuration file in the home directory belongs to another user.
    #[error("{path} is ignored: it belongs to {owner}, not to you or root")]
    OtherConfiguration {
        /// The path of the file.
        path: String,
        /// The user.
        owner: String,
        /// The command that gives it to the agent's user, if there is a safe one.
        remedy: Option<Remedy>,
    },
    /// The file could not be read.
    #[error("{path} cannot be read: {fault}")]
    Unreadable {
        /// The path of the file.
        path: String,
        /// The error of the operating system.
        fault: String,
        /// The command that makes it readable, if there is one.
        remedy: Option<Remedy>,
    },
}

impl SourceReason {
    /// The path of the affected file or directory.
    pub fn path(&self) -> &str {
        match self {
            Self::Malformed { path, .. }
            | Self::BadValue { path, .. }
            | Self::Link { path }
            | Self::OtherOwner { path, .. }
            | Self::NotAFile { path }
            | Self::TooLarge { path, .. }
            | Self::NotWatched { path, .. }
            | Self::Missing { path }
            | Self::NoSource { path }
            | Self::Empty { path }
            | Self::KeptOpen { path, .. }
            | Self::Hanging { path }
            | Self::Configuration { path, .. }
            | Self::OtherConfiguration { path, .. }
            | Self::Unreadable { path, .. } => path,
        }
    }

    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "file-malformed",
            Self::BadValue { .. } => "value-malformed",
            Self::Link { .. } => "file-is-a-link",
            Self::OtherOwner { .. } => "file-of-another-user",
            Self::NotAFile { .. } => "file-not-regular",
            Self::TooLarge { .. } => "file-too-large",
            Self::NotWatched { .. } => "file-not-watched",
            Self::Missing { .. } | Self::NoSource { .. } => "file-missing",
            Self::Empty { .. } => "file-empty",
            Self::KeptOpen { .. } => "file-kept-open",
            Self::Hanging { .. } => "file-hangs",
            Self::Configuration { .. } => "configuration-malformed",
            Self::OtherConfiguration { .. } => "configuration-of-another-user",
            Self::Unreadable { .. } => "file-unreadable",
        }
    }

    /// What it is about.
    pub fn kind(&self) -> ReasonKind {
        match self {
            Self::Configuration { .. } | Self::OtherConfiguration { .. } => {
                ReasonKind::Configuration
            }
            _ => ReasonKind::Source,
        }
    }

    /// Whether it keeps clients from a login. Where last good values stay in use, newer ones are
    /// missing.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NotWatched { .. } => Severity::Remark,
            Self::Malformed { .. }
            | Self::BadValue { .. }
            | Self::Link { .. }
            | Self::OtherOwner { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::Missing { .. }
            | Self::NoSource { .. }
            | Self::Empty { .. }
            | Self::KeptOpen { .. }
            | Self::Hanging { .. }
            | Self::Configuration { .. }
            | Self::OtherConfiguration { .. }
            | Self::Unreadable { .. } => Severity::Error,
        }
    }

    /// The step of `check` that it belongs to.
    pub fn step(&self) -> Step {
        Step::Declared
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Malformed { path, .. } if path.starts_with(CODESPACES) => format!(
                "correct {path}, or stop the codespace and start it again, which writes the file anew"
            ),
            Self::Malformed { path, .. } => {
                format!("correct {path}; the agent reads it as soon as it is saved")
            }
            Self::BadValue { path, variable } => format!("correct the value of {variable} in {path}"),
            Self::Link { path } => format!("replace {path} with a regular file"),
            Self::OtherOwner { path, is_directory, .. } => {
                let directory = path.rsplit_once('/').map_or(".", |(directory, _)| directory);
                let owned = if *is_directory { directory } else { path };
                format!(
                    "run `chown root {}` as root if you trust what it contains; otherwise remove it",
                    shell_word(owned)
                )
            }
            Self::OtherConfiguration { remedy: Some(remedy), .. } => {
                format!("{remedy} if you trust what it contains; otherwise remove the file")
            }
            Self::OtherConfiguration { path, .. } => {
                format!("replace {path} with a file of your own")
            }
            Self::NotAFile { path } => format!("replace {path} with a regular file, or remove it"),
            Self::TooLarge { path, limit } => format!("reduce {path} to at most {} MiB", limit >> 20),
            Self::NotWatched { .. } => {
                "raise the inotify limits: run `sysctl -w fs.inotify.max_user_watches=1048576 fs.inotify.max_user_instances=1024` as root on the host".to_owned()
            }
            Self::Missing { path } | Self::Empty { path } => format!("write the value into {path}"),
            Self::NoSource { path } => format!(
                "create {path}, which the agent then reads at once, or remove it from `sources` in the configuration file"
            ),
            Self::KeptOpen { writer: Some(Writer { pid, program }), .. } => {
                format!("close the file in {program}, or run `kill {pid}`")
            }
            Self::KeptOpen { path, writer: None } => format!(
                "stop the process that keeps the file open; as root, `fuser -v {0}` or `lsof {0}` names it",
                shell_word(path)
            ),
            Self::Hanging { path } => {
                format!("make the file system of {path} respond again, or unmount it")
            }
            Self::Configuration { path, .. } => {
                format!("correct {path}; the agent uses it as soon as it is saved")
            }
            Self::Unreadable { remedy: Some(remedy), .. } => remedy.to_string(),
            Self::Unreadable { path, .. } => {
                format!(
                    "write the values into a file in your home directory, which `install -m 600 /dev/null ~/registries.env` creates, \
                     and name it instead of {path}: in the variable, or in `sources` of the configuration"
                )
            }
        }
    }
}

fn shown(writer: Option<&Writer>) -> String {
    writer.map_or_else(
        || "another process".to_owned(),
        |Writer { pid, program }| format!("{program} (pid {pid})"),
    )
}
