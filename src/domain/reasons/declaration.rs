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
    #[error("{variable} holds {what}")]
    BadValue {
        /// The variable, whole.
        variable: String,
        /// The kind of character, as in "a control character".
        what: String,
    },
    /// `_PASSWORD` and `_PASSWORD_FILE` are both set.
    #[error(
        "{name}_CONTAINER_REGISTRY_PASSWORD and {name}_CONTAINER_REGISTRY_PASSWORD_FILE are both set; the file is not read"
    )]
    TwoPasswords {
        /// The `<NAME>`.
        name: String,
    },
    /// What stands before `_CONTAINER_REGISTRY_` is no `<NAME>`.
    #[error("{variable} begins with a name that is not of letters, digits and underscores alone")]
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
    #[error("{variable} gives no password: {reason}")]
    PasswordFile {
        /// The variable, whole.
        variable: String,
        /// What is wrong with the file.
        reason: SourceReason,
    },
    /// Two names declare one server.
    #[error("{server} is declared by {other} too, which serves")]
    Duplicate {
        /// The canonical server.
        server: String,
        /// The name that serves.
        other: String,
    },
    /// A repository path was given where only the server counts.
    #[error("{variable} has a path, {path}, which is not part of a server; it is ignored")]
    PathDropped {
        /// The variable, whole.
        variable: String,
        /// The path that is ignored.
        path: String,
    },
    /// A variable that has a say in how a token is got is set beside a token.
    #[error("{variable} has no effect beside the user AWS, whose password is a token already")]
    TokenAlready {
        /// The variable, whole.
        variable: String,
    },
    /// A variable that only AWS ECR knows is set for another registry.
    #[error("{variable} is for AWS ECR, and {server} is not an ECR registry; it is ignored")]
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
            Self::Missing { missing, misspelt: None } => {
                format!("set {missing} where the others of the set are set")
            }
            Self::EmptyServer { variable } => format!(
                "set {variable} to the registry's host, such as ghcr.io or docker.io, or unset the whole set"
            ),
            Self::BadServer { variable, .. } => {
                format!("set {variable} to HOST or HOST:PORT, such as mycompany.azurecr.io")
            }
            Self::BadValue { variable, .. } => {
                format!("set {variable} again, pasting only the value itself")
            }
            Self::TwoPasswords { name } => format!(
                "unset one of {name}_CONTAINER_REGISTRY_PASSWORD and {name}_CONTAINER_REGISTRY_PASSWORD_FILE"
            ),
            Self::Duplicate { other, .. } => {
                format!("remove this set, or give it another server than {other} has")
            }
            Self::PathDropped { variable, .. } => {
                format!("leave the path out of {variable}; one login serves the whole server")
            }
            Self::BadName { variable } => {
                format!("rename {variable} and its set, such as to ACME_CONTAINER_REGISTRY_SERVER")
            }
            Self::RelativePath { variable } => {
                format!("give {variable} the whole path, from the / on")
            }
            Self::PasswordFile { reason, .. } => reason.fix(),
            Self::TokenAlready { variable } => format!(
                "unset {variable}, or set an access key ID and its secret key in place of the token"
            ),
            Self::OnlyForEcr { variable, .. } => format!("unset {variable}"),
        }
    }
}
