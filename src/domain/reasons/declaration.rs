//! Why a `<NAME>_CONTAINER_REGISTRY_*` set does not work as declared.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Severity, SourceReason};

/// A declaration that cannot work as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum DeclarationReason {
    /// A required variable is not set.
    #[error("{missing} is not set")]
    Missing {
        /// The full name of the missing variable.
        missing: String,
        /// A similarly spelled variable that is set instead.
        misspelt: Option<String>,
    },
    /// The set is incomplete in the last push, so the values of an earlier one stay in use.
    #[error("{missing} was not set in the last `sync`; the previous values stay in use")]
    IncompletePush {
        /// The full name of the missing variable.
        missing: String,
        /// A similarly spelled variable that is set instead.
        misspelt: Option<String>,
    },
    /// `_SERVER` is empty although other variables of the set are not.
    #[error("{variable} is empty")]
    EmptyServer {
        /// The full name of the variable.
        variable: String,
    },
    /// `_SERVER` is not a valid server.
    #[error("{variable} is not a registry server: {fault}")]
    BadServer {
        /// The full name of the variable.
        variable: String,
        /// What is wrong with the value, without quoting it.
        fault: String,
    },
    /// A value contains a character that cannot be sent to a registry.
    #[error("{variable} contains {what}")]
    BadValue {
        /// The full name of the variable.
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
    /// The part before `_CONTAINER_REGISTRY_` is not a valid `<NAME>`.
    #[error("{variable} is ignored: <NAME> may contain only letters, digits and underscores")]
    BadName {
        /// The full name of the variable, in printable form.
        variable: String,
    },
    /// A path is not absolute, so it would depend on a working directory.
    #[error("{variable} is not an absolute path")]
    RelativePath {
        /// The full name of the variable.
        variable: String,
    },
    /// The file of `_PASSWORD_FILE` provides no password.
    #[error("{variable} provides no password: {reason}")]
    PasswordFile {
        /// The full name of the variable.
        variable: String,
        /// What is wrong with the file.
        reason: SourceReason,
    },
    /// Two sets declare the same server.
    #[error("{server} is also declared by {other}; {other} is used and this set is ignored")]
    Duplicate {
        /// The canonical server.
        server: String,
        /// The name of the set that is used.
        other: String,
    },
    /// The value includes a repository path, but only the server is used.
    #[error(
        "{variable} contains the path {path}, which is ignored: one login applies to the whole server"
    )]
    PathDropped {
        /// The full name of the variable.
        variable: String,
        /// The path that is ignored.
        path: String,
    },
    /// A variable for the AWS exchange is set although the password is already a token.
    #[error("{variable} is ignored: the user is AWS, so the password is already a token")]
    TokenAlready {
        /// The full name of the variable.
        variable: String,
    },
    /// A variable that applies only to AWS ECR is set for another registry.
    #[error(
        "{variable} is ignored: it applies only to AWS ECR, and {server} is not an ECR registry"
    )]
    OnlyForEcr {
        /// The full name of the variable.
        variable: String,
        /// The canonical server.
        server: String,
    },
}

impl DeclarationReason {
    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "variable-missing",
            Self::IncompletePush { .. } => "set-kept",
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

    /// Whether it keeps clients from a login. The others leave a login that works.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Missing { .. }
            | Self::EmptyServer { .. }
            | Self::BadServer { .. }
            | Self::BadValue { .. }
            | Self::BadName { .. }
            | Self::RelativePath { .. }
            | Self::PasswordFile { .. } => Severity::Error,
            Self::IncompletePush { .. }
            | Self::TwoPasswords { .. }
            | Self::Duplicate { .. }
            | Self::PathDropped { .. }
            | Self::TokenAlready { .. }
            | Self::OnlyForEcr { .. } => Severity::Remark,
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Missing { missing, misspelt: Some(other) }
            | Self::IncompletePush { missing, misspelt: Some(other) } => {
                format!("rename {other} to {missing}")
            }
            Self::Missing { missing, misspelt: None }
            | Self::IncompletePush { missing, misspelt: None }
                if missing.ends_with("_PASSWORD") =>
            {
                format!(
                    "set {missing} as a secret (not in containerEnv), then run `registry-agent sync` in a shell that has it"
                )
            }
            Self::Missing { missing, misspelt: None }
            | Self::IncompletePush { missing, misspelt: None } => {
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
