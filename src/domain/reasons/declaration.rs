//! Why a set of variables does not work as declared.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::duplicate::Duplicate;
use super::sourced_variable::SourcedVariable;
use super::{SourceReason, list};
use crate::domain::declarations::variable::{self, Family};

/// A declaration that cannot work as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum DeclarationReason {
    /// A required variable is not set.
    #[error("{missing} is not set{}", known(.misspelt.as_ref(), .others))]
    Missing {
        /// The full name of the missing variable.
        missing: String,
        /// A similarly spelled variable that is set instead.
        misspelt: Option<SourcedVariable>,
        /// The required variables of the set that are set.
        others: Vec<SourcedVariable>,
        /// All variables of the set that are missing, if this one is not alone.
        #[serde(default)]
        all: Box<[String]>,
    },
    /// All variables of a set are misspelt, or have names that other programs use.
    #[error("{} {} set{}, but the agent reads {}", list(.variables.iter().map(|(other, _)| &other.variable)), if .variables.len() == 1 { "is" } else { "are" }, in_file(.variables), list(.variables.iter().map(|(_, read)| read)))]
    Misnamed {
        /// Each variable that is set, and the name that the agent reads instead.
        variables: Vec<(SourcedVariable, String)>,
    },
    /// The variables of a set have several names.
    #[error("{} {} named differently from the rest of {} set: {}", list(.others.iter().map(|(other, _)| other.to_string())), if .others.len() == 1 { "is" } else { "are" }, if .others.len() == 1 { "its" } else { "their" }, list(.rest.iter().map(ToString::to_string)))]
    Split {
        /// The variables with another name, and the name that each should have.
        others: Vec<(SourcedVariable, String)>,
        /// The other variables of the set.
        rest: Vec<SourcedVariable>,
    },
    /// A required variable is not set, and may be in a file that cannot be read.
    #[error("{}", in_unread_file(.missing, .file))]
    InUnreadFile {
        /// The full name of the missing variable.
        missing: String,
        /// What is wrong with the file.
        file: Box<SourceReason>,
    },
    /// The set is incomplete in the last push, so the values of an earlier one stay in use.
    #[error("{missing} was not set in the last `sync`; the previous values stay in use")]
    IncompletePush {
        /// The full name of the missing variable.
        missing: String,
        /// A similarly spelled variable that is set instead.
        misspelt: Option<SourcedVariable>,
    },
    /// Agent and supervisor died at once, and with them what `sync` had sent.
    #[error(
        "the login for {server} that `sync` declared is lost: agent and supervisor were killed"
    )]
    Lost {
        /// The server as people write it.
        server: String,
    },
    /// Another spelling of a variable is set as well.
    #[error("{ignored} is ignored, because {used} is set")]
    SpellingIgnored {
        /// The variable that is ignored.
        ignored: SourcedVariable,
        /// The full name of the variable that is used.
        used: String,
    },
    /// A variable has another name for one that the set does not need.
    #[error("{ignored} is ignored: the agent reads {read}, which is not set")]
    OtherSpelling {
        /// The variable that is ignored.
        ignored: SourcedVariable,
        /// The full name of the variable that the agent reads.
        read: String,
    },
    /// `_SERVER` is empty although other variables of the set are not.
    #[error("{variable} is empty")]
    EmptyServer {
        /// The variable.
        variable: SourcedVariable,
    },
    /// `_SERVER` is not a valid server.
    #[error("{variable} is not a registry server: {fault}")]
    BadServer {
        /// The variable.
        variable: SourcedVariable,
        /// What is wrong with the value, without quoting it.
        fault: String,
        /// What was meant, or the form that it must have.
        #[serde(default)]
        meant: Option<String>,
    },
    /// `_SERVER` is a web site that shows the images of a registry.
    #[error("{variable} is {host}, which is a web site; its images are on {registry}")]
    WebSite {
        /// The variable.
        variable: SourcedVariable,
        /// The host of the web site.
        host: String,
        /// The registry.
        registry: String,
    },
    /// The host of `_CONTAINER_REGISTRY_SERVER` has packages only.
    #[error("{variable} is {host}, which has packages and no container images")]
    PackageHost {
        /// The variable.
        variable: SourcedVariable,
        /// The host.
        host: String,
        /// Each variable of the set, and its name in a set of a package registry.
        renamed: Vec<(SourcedVariable, String)>,
    },
    /// The user is the secret of AWS keys, and the password is their ID.
    #[error("{user} and {password} are swapped: the password is an AWS access key ID")]
    KeysSwapped {
        /// The user.
        user: SourcedVariable,
        /// The password.
        password: SourcedVariable,
    },
    /// User and password are both the ID of AWS keys.
    #[error("{user} and {password} are both an AWS access key ID")]
    TwoKeyIds {
        /// The user.
        user: SourcedVariable,
        /// The password.
        password: SourcedVariable,
    },
    /// The user is the secret of AWS keys, and so is the password, or something else.
    #[error("{user} has the form of an AWS secret access key; the user is an access key ID")]
    SecretKeyAsUser {
        /// The user.
        user: SourcedVariable,
    },
    /// `_ROLE_ARN` is not the ARN of a role.
    #[error("{variable} is not the ARN of an IAM role")]
    BadRole {
        /// The variable.
        variable: SourcedVariable,
    },
    /// A variable that should name a proxy does not.
    #[error("{variable} is not the URL of a proxy, so no proxy is used")]
    BadProxy {
        /// The variable.
        variable: SourcedVariable,
    },
    /// A value contains a character that cannot be sent to a registry.
    #[error("{variable} contains {what}")]
    BadValue {
        /// The variable.
        variable: SourcedVariable,
        /// The kind of character, as in "a control character".
        what: String,
    },
    /// The value is the text of a reference to another variable.
    #[error(
        "{variable} is a reference such as ${{NAME}} that nothing has replaced, so it is not sent"
    )]
    NotExpanded {
        /// The variable, or the password file.
        variable: SourcedVariable,
    },
    /// The value is enclosed in quotation marks.
    #[error("{variable} is enclosed in quotation marks, which {} part of it", if *.is_refused { "are" } else { "the registry receives as" })]
    Quoted {
        /// The variable, or the password file.
        variable: SourcedVariable,
        /// Whether the value cannot be used: otherwise it is a remark.
        #[serde(default)]
        is_refused: bool,
    },
    /// A remark: the value starts or ends with white space.
    #[error("{variable} {at} with white space, which the registry receives as part of it")]
    WhiteSpace {
        /// The variable, or the password file.
        variable: SourcedVariable,
        /// `starts` or `ends`.
        at: String,
    },
    /// `_PASSWORD` and `_PASSWORD_FILE` are both set.
    #[error("{file} is ignored, because {password} is set too")]
    TwoPasswords {
        /// `_PASSWORD`.
        password: SourcedVariable,
        /// `_PASSWORD_FILE`.
        file: SourcedVariable,
    },
    /// `_SCHEME` is not a known scheme.
    #[error("{variable} must be bearer, basic or raw")]
    BadScheme {
        /// The variable.
        variable: SourcedVariable,
    },
    /// The part before `_CONTAINER_REGISTRY_` is not a valid `<NAME>`.
    #[error("{variable} is ignored: <NAME> may contain only letters, digits and underscores")]
    BadName {
        /// The variable, in printable form.
        variable: SourcedVariable,
    },
    /// A path is not absolute, so it would depend on a working directory.
    #[error("{variable} is not an absolute path")]
    RelativePath {
        /// The variable.
        variable: SourcedVariable,
    },
    /// The file of `_PASSWORD_FILE` provides no password.
    #[error("{variable} provides no password: {reason}")]
    PasswordFile {
        /// The variable.
        variable: SourcedVariable,
        /// What is wrong with the file.
        reason: Box<SourceReason>,
    },
    /// Two sets declare the same server.
    #[error("{0}")]
    Duplicate(Box<Duplicate>),
    /// The value includes a repository path, but only the server is used.
    #[error(
        "{variable} contains the path {path}, which is ignored: one login applies to the whole server"
    )]
    PathDropped {
        /// The variable.
        variable: SourcedVariable,
        /// The path that is ignored.
        path: String,
    },
    /// A variable for the AWS exchange is set although the password is already a token.
    #[error("{variable} is ignored: the user is {user}, so the password is already a token")]
    TokenAlready {
        /// The variable.
        variable: SourcedVariable,
        /// The user of tokens: `AWS` for ECR, `aws` for `CodeArtifact`.
        user: String,
    },
    /// A variable that applies only to registries of AWS is set for another one.
    #[error("{variable} is ignored: it applies only to AWS {}", aws_service(.variable, .server))]
    OnlyForEcr {
        /// The variable.
        variable: SourcedVariable,
        /// The server as people write it.
        server: String,
    },
}

pub(super) fn family_of(variable: &SourcedVariable) -> Family {
    variable::parse(&variable.variable).map(|parsed| parsed.family).unwrap_or_default()
}

pub(super) fn is_package(variable: &SourcedVariable) -> bool {
    family_of(variable) == Family::Package
}

/// What the variables of an AWS identity apply to, and that `server` is something else.
fn aws_service(variable: &SourcedVariable, server: &str) -> String {
    if is_package(variable) {
        format!("CodeArtifact, and {server} is not a CodeArtifact registry")
    } else {
        format!("ECR, and {server} is not an ECR registry")
    }
}

/// The one file that all of these variables come from.
pub(super) fn only_file<'a>(
    variables: impl IntoIterator<Item = &'a SourcedVariable>,
) -> Option<&'a str> {
    let mut sources = variables.into_iter().map(|variable| &*variable.source);
    let first = sources.next()?;
    (first.starts_with('/') && sources.all(|source| source == first)).then_some(first)
}

/// ` in FILE`, if all of these variables are in one.
fn in_file(variables: &[(SourcedVariable, String)]) -> String {
    let file = only_file(variables.iter().map(|(other, _)| other));
    file.map_or_else(String::new, |file| format!(" in {file}"))
}

/// What is wrong with a file, and that a missing variable may be in it.
fn in_unread_file(missing: &str, file: &SourceReason) -> String {
    match file {
        SourceReason::BadValue { .. } => file.to_string(),
        _ => format!("{file}; it may contain {missing}, which no other source sets"),
    }
}

/// What is set instead of a missing variable.
fn known(misspelt: Option<&SourcedVariable>, others: &[SourcedVariable]) -> String {
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    match misspelt {
        Some(other) => format!(", but {other} is"),
        None if others.is_empty() => String::new(),
        None => {
            let are = if others.len() == 1 { "is" } else { "are" };
            format!("; {} {are} set", list(others))
        }
    }
}
