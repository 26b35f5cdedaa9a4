//! Where variables come from, and which source is above which.

use std::collections::BTreeMap;

use crate::domain::credentials::secret::Secret;

/// The kinds of sources, highest first: the order of the variants is the precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// A file the Codespaces platform writes.
    Codespaces,
    /// The environment that `sync` pushed.
    Pushed,
    /// An env file or a secrets directory named in the configuration.
    Configured,
    /// The environment the agent was started with.
    Environment,
}

impl SourceKind {
    /// The word for it in `status`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Codespaces => "codespaces",
            Self::Pushed => "pushed",
            Self::Configured => "configured",
            Self::Environment => "environment",
        }
    }
}

/// Names and values. Empty values are not stored: empty counts as unset, except for `_SERVER`.
pub type Variables = BTreeMap<String, Secret>;

/// One source and what it says now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its kind, and so its rank.
    pub kind: SourceKind,
    /// A file's or directory's path; `sync` and `start` for the two environments.
    pub name: String,
    /// What it declares.
    pub variables: Variables,
}
