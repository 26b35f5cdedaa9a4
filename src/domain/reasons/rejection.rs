//! Guesses why a registry rejected a login, from the kind of registry and the credential.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::FixContext;
use super::google_key::SERVICE_ACCOUNT;
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;
use crate::domain::declarations::variable::Field;
use crate::domain::servers::kind::Kind;
use crate::domain::servers::package_server::{PackageKind, PackageServer};
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
    /// GitHub Packages.
    GithubPackages,
    /// AWS `CodeArtifact`.
    CodeArtifact,
    /// The language repositories of Google Artifact Registry.
    GooglePackages,
    /// Azure Artifacts.
    AzureArtifacts,
    /// The package registry of a GitLab server.
    GitlabPackages,
    /// A package registry that asks for the login in another scheme than the one in which it was sent.
    OtherScheme {
        /// How the login was sent.
        sent: AuthScheme,
        /// How the registry asks for it.
        offered: AuthScheme,
    },
    /// A package registry that does not say in which scheme it wants the login.
    SchemeNotStated,
    /// A package registry that asks for a user and a password, of a login without a user.
    UserMissing,
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

    /// Examines `credential`, which the package registry `server` rejected. It was `sent` in one scheme,
    /// and the registry `offered` these.
    pub fn of_package(
        server: &PackageServer,
        credential: &Credential,
        sent: AuthScheme,
        offered: &[AuthScheme],
    ) -> Self {
        if let [first, ..] = offered
            && !offered.contains(&sent)
        {
            return Self::OtherScheme { sent, offered: *first };
        }
        if sent == AuthScheme::Basic && credential.user.is_empty() {
            return Self::UserMissing;
        }
        let begins = |start| credential.secret.reveal().starts_with(start);
        match server.kind() {
            PackageKind::GithubPackages if begins("github_pat_") => Self::GhcrFineGrained,
            PackageKind::GithubPackages if begins("ghs_") || begins("ghu_") => Self::GhcrAmbient,
            PackageKind::GithubPackages => Self::GithubPackages,
            PackageKind::CodeArtifact(_) => Self::CodeArtifact,
            PackageKind::GooglePackages => Self::GooglePackages,
            PackageKind::AzureArtifacts => Self::AzureArtifacts,
            PackageKind::GitlabPackages => Self::GitlabPackages,
            PackageKind::Packages if begins("glpat-") || begins("gldt-") => Self::GitlabPackages,
            PackageKind::Jfrog | PackageKind::Packages if offered.is_empty() => {
                Self::SchemeNotStated
            }
            PackageKind::Jfrog | PackageKind::Packages => Self::Plain,
        }
    }

    /// Whether only package registries reject a login so.
    fn is_of_packages(self) -> bool {
        matches!(
            self,
            Self::GithubPackages
                | Self::CodeArtifact
                | Self::GooglePackages
                | Self::AzureArtifacts
                | Self::GitlabPackages
                | Self::OtherScheme { .. }
                | Self::SchemeNotStated
                | Self::UserMissing
        )
    }

    /// A stable identifier for programs; all begin with `refused`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Plain | Self::SchemeNotStated | Self::UserMissing => "refused",
            Self::OtherScheme { .. } => "refused-scheme",
            Self::DockerHubEmail | Self::DockerHub => "refused-docker-hub",
            Self::GhcrFineGrained | Self::GhcrAmbient | Self::Ghcr => "refused-ghcr",
            Self::AcrRefreshToken | Self::Acr => "refused-acr",
            Self::Ecr => "refused-ecr",
            Self::GoogleKey | Self::GoogleAccessToken | Self::GoogleUser => "refused-google",
            Self::GitLab => "refused-gitlab",
            Self::QuayUser => "refused-quay",
            Self::HarborRobot => "refused-harbor",
            Self::GithubPackages => "refused-github-packages",
            Self::CodeArtifact => "refused-codeartifact",
            Self::GooglePackages => "refused-google-packages",
            Self::AzureArtifacts => "refused-azure-artifacts",
            Self::GitlabPackages => "refused-gitlab-packages",
        }
    }

    /// What to do about the login of `user` that `server` rejected.
    pub fn fix(self, server: &str, user: &str, login: &FixContext) -> String {
        let as_package = self.is_of_packages().then(|| login.as_package());
        let login = as_package.as_ref().unwrap_or(login);
        match self {
            Self::Plain if user.is_empty() && login.package().is_some() => format!(
                "{}; or, if it is the password of a user, set {} to the user",
                login.set(&[(Field::Password, "a current token")]),
                login.variable(Field::User)
            ),
            Self::Plain if user.is_empty() => login.set(&[(Field::Password, "a current token")]),
            Self::Plain => login.correct(user),
            Self::SchemeNotStated => format!(
                "{}; if that is right, set {} to bearer, basic or raw, as the registry expects it",
                Self::Plain.fix(server, user, login),
                login.variable(Field::Scheme)
            ),
            Self::UserMissing => login.set(&[(Field::User, "the user name of the password")]),
            Self::OtherScheme { offered, .. } => login.set(&[(Field::Scheme, offered.as_str())]),
            Self::DockerHubEmail => login.set(&[(Field::User, DOCKER_ID)]),
            Self::DockerHub => login.set(&[
                (Field::User, DOCKER_ID),
                (Field::Password, "an access token from https://app.docker.com/settings"),
            ]),
            Self::GhcrFineGrained => login.set(&[(Field::Password, CLASSIC_TOKEN)]),
            Self::GhcrAmbient => format!(
                "restart the codespace to get a new GITHUB_TOKEN, or {}",
                login.set(&[(Field::Password, CLASSIC_TOKEN)])
            ),
            Self::Ghcr => format!(
                "{}; if the organization uses single sign-on, authorize the token for it at https://github.com/settings/tokens",
                login.set(&[(Field::Password, CLASSIC_TOKEN)])
            ),
            Self::AcrRefreshToken => {
                let name = server.split('.').next().unwrap_or(server);
                let token = format!(
                    "the output of `az acr login --name {name} --expose-token --query accessToken --output tsv` (Azure CLI; valid for three hours)"
                );
                format!(
                    "{}; a service principal or a repository-scoped token lasts longer",
                    login.set(&[(Field::Password, &token)])
                )
            }
            Self::Acr => login.set(&[
                (Field::User, "the application ID of a service principal with the role AcrPull (Container Registry Repository Reader in ABAC mode)"),
                (Field::Password, "a client secret of it that has not expired"),
            ]),
            Self::GithubPackages => login.set(&[
                (Field::User, "your GitHub user name"),
                (Field::Password, CLASSIC_TOKEN),
            ]),
            Self::GooglePackages => login.set(&[
                (Field::User, "_json_key_base64"),
                (Field::Password, "the output of `base64 -w0 KEY.json`, for the key of a service account with roles/artifactregistry.reader"),
            ]),
            Self::AzureArtifacts => login.set(&[(
                Field::Password,
                "a personal access token with the scope Packaging (Read), from https://dev.azure.com/ORGANIZATION/_usersSettings/tokens",
            )]),
            Self::GitlabPackages => login.set(&[
                (Field::User, "the name of a deploy token"),
                (Field::Password, "that token, which needs the scope read_package_registry"),
            ]),
            Self::CodeArtifact if login.is_exchanged() => format!(
                "allow codeartifact:ReadFromRepository for this identity in an IAM policy or in the policy of the repository, {}",
                login.then_check()
            ),
            Self::Ecr if login.is_exchanged() => format!(
                "{} with a new token. If it persists, {}",
                login.retried(),
                login.set(&[(Field::Server, "the registry's own host")])
            ),
            Self::Ecr | Self::CodeArtifact => login.set(&[
                (Field::User, "an AWS access key ID"),
                (Field::Password, "its secret access key, from which the agent gets tokens by itself"),
            ]),
            Self::GoogleKey => {
                login.set(&[(Field::Password, "the content of a key file that still exists in Google Cloud, of a service account with roles/artifactregistry.reader")])
            }
            Self::GoogleAccessToken => {
                format!("{}; access tokens expire after one hour", login.set(&SERVICE_ACCOUNT))
            }
            Self::GoogleUser => login.set(&SERVICE_ACCOUNT),
            Self::GitLab => login.set(&[
                (Field::User, "the name of a deploy token"),
                (Field::Password, "that token, which needs the scope read_registry"),
            ]),
            Self::QuayUser => login.set(&[
                (Field::User, "a robot account (ORGANIZATION+ROBOT)"),
                (Field::Password, "its token"),
            ]),
            Self::HarborRobot => login.set(&[
                (Field::User, "the full robot name (robot$PROJECT+NAME, in a shell in single quotes because of the $)"),
                (Field::Password, "its secret"),
            ]),
        }
    }
}

/// What Docker Hub accepts as a user.
const DOCKER_ID: &str = "your Docker ID (not the e-mail address)";

/// The only token of a person that ghcr.io accepts.
pub(super) const CLASSIC_TOKEN: &str = "a classic personal access token from https://github.com/settings/tokens/new?scopes=read:packages";

impl fmt::Display for RejectionHint {
    /// The text follows "HOST rejected the login of USER".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::OtherScheme { sent, offered } = self {
            let (sent, offered) = (sent.as_str(), offered.as_str());
            return write!(
                f,
                ": it asks for the scheme {offered}, and the login was sent as {sent}"
            );
        }
        f.write_str(match self {
            Self::DockerHubEmail => ": the user is an e-mail address, not a Docker ID",
            Self::GhcrFineGrained => ": fine-grained tokens are not supported",
            Self::UserMissing => ": it asks for a user, and none is set",
            Self::GhcrAmbient => ": GITHUB_TOKEN is expired or not allowed to read packages",
            _ => "",
        })
    }
}
