//! A command that removes a cause, and who may run it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A line for a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// The agent's user may run it.
    User(Box<str>),
    /// Only root may run it.
    Root(Box<str>),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(command) => write!(f, "run `{command}`"),
            Self::Root(command) => write!(f, "run `{command}` as root"),
        }
    }
}
