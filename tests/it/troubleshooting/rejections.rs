//! Reasons about rejected logins, and about tokens and keys.

use registry_agent::domain::credentials::authorization::AuthScheme;
use registry_agent::domain::reasons::RegistryReason;
use registry_agent::domain::reasons::google_key::KeyFault;
use registry_agent::domain::reasons::rejection::RejectionHint;
use registry_agent::domain::reasons::stray::StrayCharacters;

use super::{Sample, sample};

const HOST: &str = "registry.example.com";

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn rejections() -> Vec<Sample> {
    use RejectionHint as H;
    let refused = |server: &str, user: &str, refusal, cause| {
        let seen = "GET /v2/ with the login: 401, authentication required".to_owned();
        let (server, user) = (server.to_owned(), user.to_owned());
        sample(RegistryReason::Refused { server, user, refusal, stray: None, seen }, cause)
    };
    let copied = |stray, cause| {
        let seen = "GET /v2/ with the login: 401, authentication required".to_owned();
        let (server, user) = (HOST.to_owned(), "dev".to_owned());
        let (refusal, stray) = (H::Plain, Some(stray));
        sample(RegistryReason::Refused { server, user, refusal, stray, seen }, cause)
    };
    let hub = "https://index.docker.io/v1/";
    vec![
        refused(
            HOST,
            "dev",
            H::Plain,
            "User and password do not belong together, or the account is locked.",
        ),
        copied(
            StrayCharacters::QuotedPassword,
            "A shell removes quotation marks around a value; env files, secrets and many settings keep them.",
        ),
        copied(StrayCharacters::QuotedUser, ""),
        copied(
            StrayCharacters::BlankInPassword,
            "A blank, a tab or a line end was copied together with the value.",
        ),
        copied(StrayCharacters::BlankInUser, ""),
        refused(
            hub,
            "dev@example.com",
            H::DockerHubEmail,
            "Docker Hub often rejects e-mail addresses.",
        ),
        refused(
            hub,
            "dev",
            H::DockerHub,
            "The password or token is wrong or was revoked, or the account uses two-factor authentication, \
             which the account's password alone does not satisfy.",
        ),
        refused(
            "ghcr.io",
            "octocat",
            H::GhcrFineGrained,
            "ghcr.io accepts classic personal access tokens and GITHUB_TOKEN, but not tokens that begin with \
             github_pat_.",
        ),
        refused(
            "ghcr.io",
            "octocat",
            H::GhcrAmbient,
            "GITHUB_TOKEN is valid for a limited time, and only for packages that the repository may read.",
        ),
        refused(
            "ghcr.io",
            "octocat",
            H::Ghcr,
            "The token is wrong, expired or lacks read:packages, or the organization requires it to be \
             authorized for single sign-on.",
        ),
        refused(
            "mycompany.azurecr.io",
            "00000000-0000-0000-0000-000000000000",
            H::AcrRefreshToken,
            "With the all-zero user, the password is a refresh token, which expires after three hours.",
        ),
        refused(
            "mycompany.azurecr.io",
            "acr-user",
            H::Acr,
            "The secret of the service principal or token is wrong or has expired, or it has no role in this \
             registry.",
        ),
        refused(
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com",
            "AWS",
            H::Ecr,
            "With the user AWS, the password is an ECR token, which expires after twelve hours.",
        ),
        refused(
            "https://npm.pkg.github.com/",
            "octocat",
            H::GithubPackages,
            "GitHub Packages accepts classic personal access tokens and, for packages that the repository may \
             read, GITHUB_TOKEN.",
        ),
        refused(
            "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/",
            "aws",
            H::CodeArtifact,
            "With the user aws, the password is a CodeArtifact token, which expires after at most twelve hours. \
             If the agent got the token from AWS itself, the identity may not read this repository.",
        ),
        refused(
            "https://europe-west1-python.pkg.dev/acme/python/",
            "_json_key_base64",
            H::GooglePackages,
            "The key was deleted, or the service account is disabled or has no role.",
        ),
        refused(
            "https://pkgs.dev.azure.com/acme/_packaging/feed/",
            "dev",
            H::AzureArtifacts,
            "The token is wrong or expired, lacks the scope Packaging, or belongs to another organization.",
        ),
        refused(
            "https://gitlab.com/api/v4/projects/1/packages/npm/",
            "gitlab+deploy-token-1",
            H::GitlabPackages,
            "The token is wrong, was revoked or lacks read_package_registry.",
        ),
        refused(
            "https://cargo.example.com/index/",
            "",
            H::OtherScheme { sent: AuthScheme::Bearer, offered: AuthScheme::Raw },
            "The variable _SCHEME, or else the kind of the registry, selects how the login is sent.",
        ),
        refused(
            "https://nexus.example.com/repository/npm/",
            "dev",
            H::SchemeNotStated,
            "The registry asks for a login without naming a scheme. The login may be right, but sent in the \
             wrong one.",
        ),
        refused(
            "https://nexus.example.com/repository/npm/",
            "",
            H::UserMissing,
            "The registry asks for a user and a password. Without a user, the password is sent with an empty one, \
             which some registries accept.",
        ),
        refused(
            "europe-docker.pkg.dev",
            "_json_key",
            H::GoogleKey,
            "The key was deleted, or the service account is disabled or has no role.",
        ),
        refused(
            "europe-docker.pkg.dev",
            "oauth2accesstoken",
            H::GoogleAccessToken,
            "The access token has probably expired.",
        ),
        refused(
            "europe-docker.pkg.dev",
            "dev@example.com",
            H::GoogleUser,
            "Google registries accept only a few fixed user names, not Google accounts.",
        ),
        refused(
            "registry.gitlab.com",
            "gitlab+deploy-token-1",
            H::GitLab,
            "The token is wrong or expired, or lacks read_registry. read_repository covers git, not images.",
        ),
        refused(
            "quay.io",
            "dev",
            H::QuayUser,
            "The account's own password does not work if you log in to Quay through Red Hat or GitHub.",
        ),
        refused(
            "harbor.example.com",
            "robot+ci",
            H::HarborRobot,
            "The $ in the name of a robot account is easily lost in a shell or Compose file.",
        ),
    ]
}

pub(super) fn tokens() -> Vec<Sample> {
    use RegistryReason as R;
    let seen = || "GET /v2/ with the login: 401, token has expired".to_owned();
    let mut samples = vec![
        sample(
            R::TokenExpired { server: HOST.into(), seen: seen() },
            "The password is a token that has expired.",
        ),
        sample(
            R::PlainForDocker { server: "registry.example.com:5000".into() },
            "The server is declared with http://. The agent speaks to it as declared, but the docker daemon \
             insists on TLS for every host but localhost and 127.0.0.0/8. podman, skopeo and buildah need \
             `insecure = true` for it in registries.conf.",
        ),
        sample(
            R::OneHourToken { server: "europe-docker.pkg.dev".into() },
            "The user oauth2accesstoken goes with a short-lived access token. It is used until it expires.",
        ),
        sample(
            R::IdentityTokenUseless { server: HOST.into() },
            "`docker login` stored an identity token, which works only with a token server. This registry \
             has none.",
        ),
        sample(
            R::NotARefreshToken { server: "mycompany.azurecr.io".into() },
            "With the all-zero user, the password must be the token that `az acr login --expose-token` \
             prints. Nothing was sent.",
        ),
    ];
    for (user, fault, cause) in [
        ("_json_key", KeyFault::Path, "Nothing was sent to the registry."),
        ("_json_key", KeyFault::Base64, "An encoded key needs the user _json_key_base64."),
        (
            "_json_key_base64",
            KeyFault::NotBase64,
            "A key that is not encoded needs the user _json_key.",
        ),
        ("_json_key_base64", KeyFault::Wrapped, "`base64` breaks lines unless told otherwise."),
        ("_json_key", KeyFault::NotJson, "The key file is probably incomplete."),
        ("_json_key", KeyFault::OtherType, "Only keys of service accounts work as a password."),
        ("_json_key", KeyFault::Incomplete, "The JSON is not the key file of a service account."),
    ] {
        let (server, user) = ("europe-docker.pkg.dev".into(), user.into());
        samples.push(sample(R::NotAKey { server, user, fault }, cause));
    }
    samples
}
