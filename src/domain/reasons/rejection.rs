//! Guesses why a registry rejected a login, from the kind of registry and the credential.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::credentials::credential::Credential;
use crate::domain::servers::kind::Kind;
use crate::domain::servers::server::Server;

/// What is known about a rejected login. It determines the fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectionHint {
    /// Nothing specific.
    Plain,
    /// Docker Hub, with an email address as the user name.
    DockerHubEmail,
    /// Docker Hub.
    DockerHub,
    /// ghcr.io, with a fine-grained token.
    GhcrFineGrained,
    /// ghcr.io, with the token of a workflow or a codespace.
    GhcrAmbient,
    /// ghcr.io, with any other token.
    Ghcr,
    /// Azure Container Registry, with a refresh token.
    AcrRefreshToken,
    /// Azure Container Registry, with a password.
    Acr,
    /// AWS ECR, private or public.
    Ecr,
    /// Google, with a service-account key.
    GoogleKey,
    /// Google, with an access token.
    GoogleAccessToken,
    /// Google, with any other user name.
    GoogleUser,
    /// A GitLab registry.
    GitLab,
    /// Quay, with a user that is not a robot account.
    QuayUser,
    /// Harbor, with a user name that looks like a robot account.
    HarborRobot,
}

/// The user name at Azure that marks the password as a refresh token.
pub const ACR_TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

impl RejectionHint {
    /// Examines `credential`, which `server` rejected.
    pub fn of(server: &Server, credential: &Credential) -> Self {
        let user = credential.user.as_str();
        let begins = |starts: &[&str]| {
            starts.iter().any(|start| credential.secret.reveal().starts_with(start))
        };
        match server.kind() {
            Kind::DockerHub if user.contains('@') => Self::DockerHubEmail,
            Kind::DockerHub => Self::DockerHub,
            Kind::Ghcr if begins(&["github_pat_"]) => Self::GhcrFineGrained,
            Kind::Ghcr if begins(&["ghs_", "ghu_"]) => Self::GhcrAmbient,
            Kind::Ghcr => Self::Ghcr,
            Kind::Acr if user == ACR_TOKEN_USER => Self::AcrRefreshToken,
            Kind::Acr => Self::Acr,
            Kind::Ecr(_) | Kind::EcrPublic => Self::Ecr,
            Kind::Gcr | Kind::ArtifactRegistry => match user {
                "_json_key" | "_json_key_base64" => Self::GoogleKey,
                "oauth2accesstoken" => Self::GoogleAccessToken,
                _ => Self::GoogleUser,
            },
            Kind::Generic if server.name() == "registry.gitlab.com" => Self::GitLab,
            Kind::Generic if begins(&["glpat-", "gldt-", "glcbt-"]) => Self::GitLab,
            Kind::Generic if user == "gitlab-ci-token" => Self::GitLab,
            Kind::Generic if server.name() == "quay.io" && !user.contains('+') => Self::QuayUser,
            Kind::Generic if user.starts_with("robot") => Self::HarborRobot,
            Kind::Generic => Self::Plain,
        }
    }

    /// What to do about the login that `server` rejected.
    pub fn fix(self, server: &str) -> String {
        let fix = match self {
            Self::Plain => {
                "set the user and the password again, and check that both are still valid"
            }
            Self::DockerHubEmail => {
                "set the user to the Docker ID, not the e-mail address, and the password to a personal access token"
            }
            Self::DockerHub => {
                "set the user to the Docker ID and the password to a personal access token, which accounts with two-factor authentication require"
            }
            Self::GhcrFineGrained => {
                "set the password to a classic personal access token with read:packages"
            }
            Self::GhcrAmbient => {
                "restart the codespace to get a new GITHUB_TOKEN, or declare a classic personal access token with read:packages"
            }
            Self::Ghcr => {
                "set the password to a classic personal access token with read:packages; if the organization uses single sign-on, authorize the token for it"
            }
            Self::AcrRefreshToken => {
                let name = server.split('.').next().unwrap_or(server);
                return format!(
                    "get a new token with `az acr login --name {name} --expose-token`; it expires after three hours, so prefer a service principal or a repository-scoped token"
                );
            }
            Self::Acr => {
                "set the user and the password to a service principal that has AcrPull and a valid secret, or to a repository-scoped token"
            }
            Self::Ecr => {
                "set the user to an AWS access key ID and the password to its secret key; the agent then fetches tokens automatically"
            }
            Self::GoogleKey => {
                "check that the key still exists and that its service account has roles/artifactregistry.reader"
            }
            Self::GoogleAccessToken => {
                "set the user to _json_key and the password to a service-account key; access tokens expire after one hour"
            }
            Self::GoogleUser => {
                "set the user to _json_key and the password to the content of a service-account key file"
            }
            Self::GitLab => {
                "set the user and the password to a deploy token with read_registry, or the password to a personal access token with read_registry"
            }
            Self::QuayUser => {
                "set the user to a robot account, such as ORGANIZATION+ROBOT, and the password to its token; for an OAuth token, set the user to $oauthtoken"
            }
            Self::HarborRobot => {
                "set the user to the full robot name, such as robot$PROJECT+NAME (in single quotes in a shell), and the password to its secret"
            }
        };
        fix.to_owned()
    }
}

impl fmt::Display for RejectionHint {
    /// The text follows "HOST rejected the login of USER".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DockerHubEmail => ": the user is an e-mail address, not a Docker ID",
            Self::GhcrFineGrained => ": fine-grained tokens are not supported",
            Self::GhcrAmbient => ": GITHUB_TOKEN is expired or not allowed to read packages",
            _ => "",
        })
    }
}
