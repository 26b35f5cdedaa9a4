//! What a reason is about, and whether it keeps clients from a login.

use serde::{Deserialize, Serialize};

/// What a reason is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasonKind {
    /// The variables of a set.
    Variables,
    /// A file or directory that variables come from.
    Source,
    /// The agent's configuration.
    Configuration,
    /// A login: its credential, its registry, and the way there.
    Login,
    /// The docker configuration.
    DockerConfiguration,
    /// A client, or the environment that it runs in.
    Client,
}

impl ReasonKind {
    /// The kind's name in `status --json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Variables => "variables",
            Self::Source => "source",
            Self::Configuration => "configuration",
            Self::Login => "login",
            Self::DockerConfiguration => "docker-configuration",
            Self::Client => "client",
        }
    }
}

/// Whether a reason keeps clients from a login.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It does, or may: `status` exits with 3.
    #[default]
    Error,
    /// It does not: the login works.
    Remark,
}
