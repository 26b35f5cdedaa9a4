//! Sources of variables and their precedence.

use std::collections::BTreeMap;

use crate::domain::credentials::secret::Secret;

/// The kinds of sources, highest first: the order of the variants is the precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// A file that the Codespaces platform writes.
    Codespaces,
    /// The environment that `sync` pushed.
    Pushed,
    /// An env file or a secrets directory named in the configuration.
    Configured,
    /// The environment that the agent was started with.
    Environment,
}

impl SourceKind {
    /// Its name in `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Codespaces => "codespaces",
            Self::Pushed => "pushed",
            Self::Configured => "configured",
            Self::Environment => "environment",
        }
    }
}

/// Names and values. An empty value counts as unset, except for `_SERVER`.
pub type Variables = BTreeMap<String, Secret>;

/// A source and its current variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its kind, which decides its precedence.
    pub kind: SourceKind,
    /// A file's or directory's path; `sync` and `start` for the two environments.
    pub name: String,
    /// Its variables.
    pub variables: Variables,
}
