//! Why a login may not pull or push an image, or why that is unknown.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Severity;

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
    #[error("{server} does not allow this login to {action} {repository}")]
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
    #[error("{server} allows GITHUB_TOKEN to read packages, but not to publish them")]
    GithubTokenReadsOnly {
        /// The canonical server.
        server: String,
    },
    /// The image does not exist, or is not visible to this login.
    #[error(
        "{repository} with the tag or digest {reference} does not exist on {server}, or this login cannot see it"
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
    #[error("{server} does not say in advance whether this login may push")]
    PushUnknown {
        /// The canonical server.
        server: String,
    },
    /// The registry's response does not say whether the action is allowed.
    #[error("{server} did not say whether this login has access ({seen})")]
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

    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::NotGranted { kind, action, .. } => grant(kind, *action),
            Self::GithubTokenReadsOnly { .. } => grant("ghcr", Action::Push),
            Self::NoSuchImage { .. } => {
                "correct the image's name, or ask its owner to give this login access"
            }
            Self::PushUnknown { .. } | Self::Unknown { .. } => "push a small image to find out",
        }
    }
}

/// What allows the action at a kind of registry.
fn grant(kind: &str, action: Action) -> &'static str {
    match (kind, action) {
        ("ghcr", Action::Pull) => {
            "use a classic personal access token with read:packages of a user who may read the package"
        }
        ("ghcr", Action::Push) => "use a classic personal access token with write:packages",
        ("docker-hub", Action::Pull) => {
            "use a token with read access of a user who may read the repository"
        }
        ("docker-hub", Action::Push) => {
            "use a token with read and write access of a user who may write to the repository"
        }
        ("acr", Action::Pull) => "give the service principal AcrPull, or the token content/read",
        ("acr", Action::Push) => "give the service principal AcrPush, or the token content/write",
        ("ecr", Action::Pull) => {
            "allow ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability on the repository"
        }
        ("ecr", Action::Push) => {
            "allow ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:BatchCheckLayerAvailability and ecr:PutImage on the repository"
        }
        ("ecr-public", Action::Push) => {
            "allow ecr-public:InitiateLayerUpload, ecr-public:UploadLayerPart, ecr-public:CompleteLayerUpload and ecr-public:PutImage"
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
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull",
            Self::Push => "push to",
        })
    }
}
