//! What can be wrong with a `<NAME>_CONTAINER_REGISTRY_*` set.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::SourceReason;

/// A declaration that cannot work as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum DeclarationReason {
    /// One of the required variables is not set.
    #[error("{missing} is not set")]
    Missing {
        /// The variable that is missing, whole.
        missing: String,
        /// A variable of another spelling that is there instead.
        misspelt: Option<String>,
    },
    /// `_SERVER` is set to nothing while others of the set are not.
    #[error("{variable} is empty")]
    EmptyServer {
        /// The variable, whole.
        variable: String,
    },
    /// `_SERVER` is not a server's name.
    #[error("{variable} is not a registry server: {fault}")]
    BadServer {
        /// The variable, whole.
        variable: String,
        /// What is wrong with it, without its value.
        fault: String,
    },
    /// A value holds a character no registry could be given.
    #[error("{variable} contains {what}")]
    BadValue {
        /// The variable, whole.
        variable: String,
        /// The kind of character, as in "a control character".
        what: String,
    },
    /// `_PASSWORD` and `_PASSWORD_FILE` are both set.
    #[error(
        "{name}_CONTAINER_REGISTRY_PASSWORD and {name}_CONTAINER_REGISTRY_PASSWORD_FILE are both set; the file is ignored"
    )]
    TwoPasswords {
        /// The `<NAME>`.
        name: String,
    },
    /// What stands before `_CONTAINER_REGISTRY_` is no `<NAME>`.
    #[error("{variable} is ignored: NAME may contain only letters, digits and underscores")]
    BadName {
        /// The variable, whole; printable.
        variable: String,
    },
    /// A path that is not absolute, so that it depends on where a process happens to stand.
    #[error("{variable} is not an absolute path")]
    RelativePath {
        /// The variable, whole.
        variable: String,
    },
    /// The file of `_PASSWORD_FILE` gives no password.
    #[error("{variable} provides no password: {reason}")]
    PasswordFile {
        /// The variable, whole.
        variable: String,
        /// What is wrong with the file.
        reason: SourceReason,
    },
    /// Two names declare one server.
    #[error("{server} is also declared by {other}; {other} is used and this set is ignored")]
    Duplicate {
        /// The canonical server.
        server: String,
        /// The name that serves.
        other: String,
    },
    /// A repository path was given where only the server counts.
    #[error(
        "{variable} contains the path {path}, which is ignored: one login applies to the whole server"
    )]
    PathDropped {
        /// The variable, whole.
        variable: String,
        /// The path that is ignored.
        path: String,
    },
    /// A variable that has a say in how a token is got is set beside a token.
    #[error("{variable} is ignored: the user is AWS, so the password is already a token")]
    TokenAlready {
        /// The variable, whole.
        variable: String,
    },
    /// A variable that only AWS ECR knows is set for another registry.
    #[error(
        "{variable} is ignored: it applies only to AWS ECR, and {server} is not an ECR registry"
    )]
    OnlyForEcr {
        /// The variable, whole.
        variable: String,
        /// The canonical server.
        server: String,
    },
}

impl DeclarationReason {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "variable-missing",
            Self::EmptyServer { .. } => "server-empty",
            Self::BadServer { .. } => "server-not-understood",
            Self::BadValue { .. } => "value-refused",
            Self::TwoPasswords { .. } => "two-passwords",
            Self::BadName { .. } => "name-refused",
            Self::RelativePath { .. } => "path-relative",
            Self::PasswordFile { .. } => "password-file",
            Self::TokenAlready { .. } => "token-already",
            Self::Duplicate { .. } => "server-declared-twice",
            Self::PathDropped { .. } => "path-ignored",
            Self::OnlyForEcr { .. } => "only-for-ecr",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Missing { missing, misspelt: Some(other) } => {
                format!("rename {other} to {missing}")
            }
            Self::Missing { missing, misspelt: None } if missing.ends_with("_PASSWORD") => format!(
                "set {missing} as a secret (not in containerEnv), then run `registry-agent sync` in a shell that has it"
            ),
            Self::Missing { missing, misspelt: None } => {
                format!("set {missing}, then run `registry-agent sync` in a shell that has it")
            }
            Self::EmptyServer { variable } => format!(
                "set {variable} to the registry's host, such as ghcr.io or docker.io, or unset every variable of this set"
            ),
            Self::BadServer { variable, .. } => {
                format!("set {variable} to HOST or HOST:PORT, such as mycompany.azurecr.io")
            }
            Self::BadValue { variable, .. } => {
                format!("set {variable} again and paste only the value itself")
            }
            Self::TwoPasswords { name } => format!(
                "unset one of {name}_CONTAINER_REGISTRY_PASSWORD and {name}_CONTAINER_REGISTRY_PASSWORD_FILE"
            ),
            Self::Duplicate { .. } => {
                "remove one of the two sets, or set one of them to another server".to_owned()
            }
            Self::PathDropped { variable, .. } => {
                format!("remove the path from {variable}")
            }
            Self::BadName { variable } => {
                format!(
                    "rename {variable} and the rest of its set, for example to ACME_CONTAINER_REGISTRY_SERVER"
                )
            }
            Self::RelativePath { variable } => format!("set {variable} to an absolute path"),
            Self::PasswordFile { reason, .. } => reason.fix(),
            Self::TokenAlready { variable } => format!(
                "unset {variable}, or declare an access key ID and its secret key instead of the token"
            ),
            Self::OnlyForEcr { variable, .. } => format!("unset {variable}"),
        }
    }
}
