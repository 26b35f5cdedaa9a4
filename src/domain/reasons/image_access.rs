//! Why a login may not pull or push an image, or why that is unknown.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::rejection::CLASSIC_TOKEN;
use super::{FixContext, Severity, shown};
use crate::domain::declarations::variable::Field;

/// What a client does with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Read the image from the registry.
    Pull,
    /// Write the image to the registry.
    Push,
}

/// Why an action is not allowed, or why that is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum ImageAccessReason {
    /// The registry does not grant the action.
    #[error("{}: login accepted; {action} denied for {repository}: {}", shown(.server), lacks(.kind, *.action))]
    NotGranted {
        /// The canonical server.
        server: String,
        /// The kind of the registry; see `Kind::as_str`.
        kind: String,
        /// The repository.
        repository: String,
        /// The action that is not granted.
        action: Action,
    },
    /// The token of a workflow or a codespace cannot publish.
    #[error(
        "{server}: login accepted; push denied: GITHUB_TOKEN may read packages, but not publish them"
    )]
    GithubTokenReadsOnly {
        /// The canonical server.
        server: String,
    },
    /// The image does not exist, or is not visible to this login.
    #[error(
        "{}: login accepted; {repository} with the tag or digest {reference} does not exist, or is not shared with this account", shown(.server)
    )]
    NoSuchImage {
        /// The canonical server.
        server: String,
        /// The repository.
        repository: String,
        /// The tag or digest.
        reference: String,
    },
    /// The registry does not say before a push whether it is allowed.
    #[error("{} does not say in advance whether this login may push", shown(.server))]
    PushUnknown {
        /// The canonical server.
        server: String,
    },
    /// The registry's response does not say whether the action is allowed.
    #[error("{} did not say whether this login has access ({seen})", shown(.server))]
    Unknown {
        /// The canonical server.
        server: String,
        /// The request, the status and the registry's own message, sanitized.
        seen: String,
    },
}

impl ImageAccessReason {
    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotGranted { .. } => "not-granted",
            Self::GithubTokenReadsOnly { .. } => "github-token-reads-only",
            Self::NoSuchImage { .. } => "no-such-image",
            Self::PushUnknown { .. } => "push-access-unknown",
            Self::Unknown { .. } => "access-unknown",
        }
    }

    /// Whether it keeps clients from the image.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NotGranted { .. }
            | Self::GithubTokenReadsOnly { .. }
            | Self::NoSuchImage { .. } => Severity::Error,
            Self::PushUnknown { .. } | Self::Unknown { .. } => Severity::Remark,
        }
    }

    /// What to do about it, for this login.
    pub fn fix(&self, login: &FixContext) -> String {
        match self {
            Self::NotGranted { kind, action, .. } => grant(kind, *action, login),
            Self::GithubTokenReadsOnly { .. } => grant("ghcr", Action::Push, login),
            Self::NoSuchImage { .. } => {
                "correct the image's name, or ask its owner to share it with this account"
                    .to_owned()
            }
            Self::PushUnknown { .. } | Self::Unknown { .. } => {
                "push a small image to find out".to_owned()
            }
        }
    }
}

/// What a login lacks whose pull or push a kind of registry denies. It follows "denied: ".
fn lacks(kind: &str, action: Action) -> &'static str {
    match (kind, action) {
        ("ghcr", Action::Pull) => {
            "the token lacks `read:packages`, or the package is not shared with this account"
        }
        ("ghcr", Action::Push) => {
            "the token lacks `write:packages`, or this account may not write to the package"
        }
        ("docker-hub", Action::Pull) => {
            "the repository is not shared with this account, or does not exist"
        }
        ("docker-hub", Action::Push) => {
            "the token is read-only, or this account may not write to the repository"
        }
        ("acr", Action::Pull) => {
            "the identity has no role that may pull, or the token lacks `content/read`"
        }
        ("acr", Action::Push) => {
            "the identity has no role that may push, or the token lacks `content/write`"
        }
        ("ecr", Action::Pull) => "no IAM policy allows this identity to pull from the repository",
        ("ecr" | "ecr-public", Action::Push) => {
            "no IAM policy allows this identity to push to the repository"
        }
        ("gcr" | "artifact-registry", Action::Pull) => {
            "the service account has no role that may read the repository"
        }
        ("gcr" | "artifact-registry", Action::Push) => {
            "the service account has no role that may write to the repository"
        }
        (_, Action::Pull) => "the account or token may not read the repository",
        (_, Action::Push) => "the account or token may not write to the repository",
    }
}

/// What allows the action at a kind of registry.
fn grant(kind: &str, action: Action, login: &FixContext) -> String {
    let fix = match (kind, action) {
        ("ghcr", Action::Pull) => {
            return format!(
                "ask the package's owner to share it with this account; if the token lacks `read:packages`, {}",
                login.set(&[(Field::Password, CLASSIC_TOKEN)])
            );
        }
        ("ghcr", Action::Push) => {
            return login.set(&[(
                Field::Password,
                "a classic personal access token from https://github.com/settings/tokens/new?scopes=write:packages of an account that may write to the package",
            )]);
        }
        ("docker-hub", Action::Pull) => {
            "ask the repository's owner on Docker Hub to add this account as a collaborator or to a team that may read it"
        }
        ("docker-hub", Action::Push) => {
            return login.set(&[(
                Field::Password,
                "an access token with Read & Write from https://app.docker.com/settings of an account that may write to the repository",
            )]);
        }
        ("acr", Action::Pull) => {
            "give the service principal the role AcrPull (in ABAC mode: Container Registry Repository Reader), or the token content/read on the repository"
        }
        ("acr", Action::Push) => {
            "give the service principal the role AcrPush (in ABAC mode: Container Registry Repository Writer), or the token content/write on the repository"
        }
        ("ecr", Action::Pull) => {
            "allow ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability on the repository"
        }
        ("ecr", Action::Push) => {
            "allow ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:BatchCheckLayerAvailability and ecr:PutImage on the repository"
        }
        ("ecr-public", Action::Push) => {
            "allow ecr-public:InitiateLayerUpload, ecr-public:UploadLayerPart, ecr-public:CompleteLayerUpload, ecr-public:BatchCheckLayerAvailability and ecr-public:PutImage"
        }
        ("gcr" | "artifact-registry", Action::Pull) => {
            "give the service account roles/artifactregistry.reader on the repository"
        }
        ("gcr" | "artifact-registry", Action::Push) => {
            "give the service account roles/artifactregistry.writer on the repository"
        }
        (_, Action::Pull) => {
            "ask the repository's owner to give this login read access; a GitLab token needs read_registry"
        }
        (_, Action::Push) => {
            "ask the repository's owner to give this login write access; a GitLab token needs write_registry"
        }
    };
    fix.to_owned()
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull",
            Self::Push => "push",
        })
    }
}
