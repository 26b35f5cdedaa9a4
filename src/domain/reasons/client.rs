//! What keeps the clients of one shell from a login that works.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Severity, Step, list, shell_word};
use crate::domain::declarations::variable::{Family, Field};

/// Why the clients of this shell do not get the login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum ClientReason {
    /// The argument of `check` is none that it takes.
    #[error("{text} {fault}")]
    NotUnderstood {
        /// The argument.
        text: String,
        /// What is wrong with it.
        fault: String,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// No set of variables and no stored login is for the server.
    #[error("no set of variables declares {server}{}", did_you_mean(.meant.as_ref()))]
    NotDeclared {
        /// The server as people write it.
        server: String,
        /// What was probably meant: a server or an image on it.
        meant: Option<String>,
    },
    /// No package login is for this URL.
    #[error("no package login covers {url}{}", near_by(.nearest.as_deref(), .below))]
    NotCovered {
        /// The URL that was asked for.
        url: String,
        /// The login that was probably meant.
        nearest: Option<Box<NearestLogin>>,
        /// The names of the logins below the URL.
        below: Vec<String>,
    },
    /// The URL names a user whom the login is not for.
    #[error("{url} is for another user than {user}, to whom the login of {name} belongs")]
    OtherUser {
        /// The URL without the user.
        url: String,
        /// The `<NAME>` of the login.
        name: String,
        /// The user of the login.
        user: String,
    },
    /// A set of this name is neither declared nor known.
    #[error("no set of variables has the name {name}{}", did_you_mean(.meant.as_ref()))]
    NoSuchName {
        /// The name that was asked for.
        name: String,
        /// The name that was probably meant.
        meant: Option<String>,
    },
    /// Nothing is declared at all.
    #[error("no registry is declared")]
    NothingDeclared,
    /// The set is in this shell, but was never sent to the agent.
    #[error("{name} is declared in this shell, but the agent does not know it")]
    NotSynced {
        /// The `<NAME>`.
        name: String,
    },
    /// The configuration that clients of this shell read has no entry.
    #[error("{path} has no `credHelpers` entry for {key}")]
    NotPublished {
        /// The path of the file.
        path: String,
        /// The key that clients look up.
        key: String,
    },
    /// Clients of this shell read another configuration than the agent writes.
    #[error("docker reads {path} in this shell, but the agent writes {written}")]
    OtherConfiguration {
        /// The path of the file that docker reads.
        path: String,
        /// The path of the file that the agent writes.
        written: String,
    },
    /// Without `HOME`, clients of this shell find no configuration.
    #[error(
        "HOME is not set in this shell, or is `/`, so docker reads {path}, but the agent writes {written}"
    )]
    NoHome {
        /// The path of the file that docker reads.
        path: String,
        /// The path of the file that the agent writes.
        written: String,
    },
    /// Root reads another configuration than the user who called `sudo`.
    #[error("`sudo docker` reads {path}, which has no `credHelpers` entry for {key}")]
    RootConfiguration {
        /// The path of root's file.
        path: String,
        /// The key that clients look up.
        key: String,
        /// The directory of the configuration that the agent writes.
        directory: String,
    },
    /// The helper does not run.
    #[error("{path} does not work as the credential helper: {fault}")]
    HelperFails {
        /// The path of the program.
        path: String,
        /// The error, or what the program prints.
        fault: String,
    },
    /// A remark: another version of the helper.
    #[error("{path} is version {helper}, but this program is version {program}")]
    HelperVersion {
        /// The path of the helper.
        path: String,
        /// What the helper says of itself.
        helper: String,
        /// The version of this program.
        program: String,
    },
    /// A remark: a package client of this shell is not set up to ask the agent.
    #[error("{client} is not set up to ask the agent for this login: {fault}")]
    NotSetUp {
        /// The client, such as `cargo`.
        client: String,
        /// What it lacks.
        fault: String,
        /// What to do: the line to paste, if the programs are there.
        fix: String,
    },
    /// The helper returns nothing.
    #[error("the credential helper returns no login for {key}: {fault}")]
    NotServed {
        /// The key that clients ask for.
        key: String,
        /// What the helper said.
        fault: String,
    },
    /// The helper returns another credential than the registry accepted.
    #[error("the credential helper returns another login for {key} than the agent verified")]
    OtherServed {
        /// The key that clients ask for.
        key: String,
    },
}

/// The package login that comes nearest to a URL that none covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearestLogin {
    /// Its `<NAME>`.
    pub name: String,
    /// The URL that was probably meant.
    pub meant: String,
    /// What that URL has and the other has not.
    pub differs: Vec<String>,
    /// The variable that declares the login, its value, and the one with which it would cover the URL.
    pub change: Option<[String; 3]>,
}

impl ClientReason {
    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotUnderstood { .. } => "not-understood",
            Self::NotDeclared { .. } | Self::NotCovered { .. } => "server-not-declared",
            Self::OtherUser { .. } => "login-of-another-user",
            Self::NoSuchName { .. } => "name-not-declared",
            Self::NothingDeclared => "nothing-declared",
            Self::NotSynced { .. } => "not-synced",
            Self::NotPublished { .. } => "not-published",
            Self::OtherConfiguration { .. } => "other-docker-config",
            Self::NoHome { .. } => "home-not-set",
            Self::RootConfiguration { .. } => "docker-config-of-root",
            Self::HelperFails { .. } => "helper-fails",
            Self::HelperVersion { .. } => "helper-of-another-version",
            Self::NotSetUp { .. } => "client-not-set-up",
            Self::NotServed { .. } => "login-not-served",
            Self::OtherServed { .. } => "other-login-served",
        }
    }

    /// The step of `check` that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::NotUnderstood { .. }
            | Self::NotDeclared { .. }
            | Self::NotCovered { .. }
            | Self::OtherUser { .. }
            | Self::NoSuchName { .. }
            | Self::NothingDeclared
            | Self::NotSynced { .. } => Step::Declared,
            Self::NotPublished { .. }
            | Self::OtherConfiguration { .. }
            | Self::NoHome { .. }
            | Self::RootConfiguration { .. } => Step::Published,
            Self::HelperFails { .. } | Self::HelperVersion { .. } | Self::NotSetUp { .. } => {
                Step::Helper
            }
            Self::NotServed { .. } | Self::OtherServed { .. } => Step::Served,
        }
    }

    /// Whether it keeps clients from a login.
    pub fn severity(&self) -> Severity {
        match self {
            Self::HelperVersion { .. } | Self::NotSetUp { .. } => Severity::Remark,
            _ => Severity::Error,
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::NotUnderstood { meant: Some(meant), .. } => {
                format!("run `registry-agent check {}`", shell_word(meant))
            }
            Self::NotUnderstood { meant: None, .. } => {
                "give `check` a name that `registry-agent status` shows, a server such as ghcr.io, or an image such as ghcr.io/org/app:1.0".to_owned()
            }
            Self::NotDeclared { server, meant } => format!(
                "{}set and export `<NAME>_CONTAINER_REGISTRY_SERVER` to {server}, `<NAME>_CONTAINER_REGISTRY_USER` to the user and `<NAME>_CONTAINER_REGISTRY_PASSWORD` to the password, then run `registry-agent sync`",
                check_instead(meant.as_ref())
            ),
            Self::NotCovered { nearest: Some(nearest), .. } => {
                let check = format!("run `registry-agent check {}`", shell_word(&nearest.meant));
                let change = nearest.change.as_ref().map(|[variable, value, covering]| {
                    format!("; or set {variable}, which is {value}, to {covering} or a URL above it, then run `registry-agent sync`")
                });
                format!("{check}{}; or declare a second set", change.unwrap_or_default())
            }
            Self::NotCovered { below, .. } => {
                let first = below.first().map(|name| format!("run `registry-agent check {name}`; or "));
                format!(
                    "{}set and export `<NAME>_PACKAGE_REGISTRY_SERVER` to the URL of the package registry, `<NAME>_PACKAGE_REGISTRY_PASSWORD` to the password or token and, if there is one, `<NAME>_PACKAGE_REGISTRY_USER` to the user, then run `registry-agent sync`",
                    first.unwrap_or_default()
                )
            }
            Self::OtherUser { name, user, .. } => format!(
                "write {user}@ before the host; or set {} to the user in the URL and {} to the password of that user, then run `registry-agent sync`",
                Field::User.variable(Family::Package, name),
                Field::Password.variable(Family::Package, name)
            ),
            Self::NoSuchName { name, meant } => {
                let variables = REQUIRED.map(|field| field.variable(Family::Container, name)).join(" ");
                format!(
                    "{}set {}, then run `export {variables} && registry-agent sync`; `registry-agent status` lists the names that the agent knows; for packages, the variables contain _PACKAGE_REGISTRY_ instead",
                    check_instead(meant.as_ref()),
                    list(REQUIRED.map(|field| field.variable(Family::Container, name)))
                )
            }
            Self::NothingDeclared => {
                "set and export `<NAME>_CONTAINER_REGISTRY_SERVER`, `<NAME>_CONTAINER_REGISTRY_USER` and `<NAME>_CONTAINER_REGISTRY_PASSWORD`, or for packages the same with _PACKAGE_REGISTRY_, then run `registry-agent sync`".to_owned()
            }
            Self::NotSynced { .. } => "run `registry-agent sync` in this shell".to_owned(),
            Self::NotPublished { .. } => {
                "run `registry-agent sync`, which writes the entry again".to_owned()
            }
            Self::NoHome { written, .. } if written.ends_with("/.docker/config.json") => {
                let home = written.trim_end_matches("/.docker/config.json");
                format!("run `export HOME={}` where docker runs", shell_word(home))
            }
            Self::OtherConfiguration { written, .. } | Self::NoHome { written, .. } => {
                let directory = written.rsplit_once('/').map_or(".", |(directory, _)| directory);
                format!("run `export DOCKER_CONFIG={}` where docker runs", shell_word(directory))
            }
            Self::RootConfiguration { directory, .. } => format!(
                "run docker without sudo, or run it as `sudo docker --config {} pull IMAGE`",
                shell_word(directory)
            ),
            Self::HelperFails { path, .. } => format!(
                "replace {path} with the docker-credential-registry-agent of this version, or put the directory of that before it on PATH"
            ),
            Self::HelperVersion { path, program, .. } => {
                format!("replace {path} with the helper of version {program}")
            }
            Self::NotSetUp { fix, .. } => fix.clone(),
            Self::NotServed { .. } | Self::OtherServed { .. } => {
                "run `registry-agent check` again; if it persists, run `registry-agent sync`".to_owned()
            }
        }
    }
}

/// The variables that a set needs.
const REQUIRED: [Field; 3] = [Field::Server, Field::User, Field::Password];

fn did_you_mean(meant: Option<&String>) -> String {
    meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"))
}

fn near_by(nearest: Option<&NearestLogin>, below: &[String]) -> String {
    match (nearest, below) {
        (Some(NearestLogin { name, meant, differs, .. }), _) => {
            format!("; {name} is nearest, with {}; did you mean {meant}?", list(differs))
        }
        (None, []) => String::new(),
        (None, [one]) => format!("; {one} is below it"),
        (None, several) => format!("; {} are below it", list(several)),
    }
}

fn check_instead(meant: Option<&String>) -> String {
    let command = |meant| format!("run `registry-agent check {}`; or ", shell_word(meant));
    meant.map_or_else(String::new, |meant| command(meant))
}
