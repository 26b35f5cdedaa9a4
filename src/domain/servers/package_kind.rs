//! The kinds of package registries, recognized by complete labels of the host name, or by the path.

use crate::domain::credentials::authorization::AuthScheme;

/// The kind of a package registry, which decides its rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackageKind {
    /// AWS `CodeArtifact`.
    CodeArtifact(CodeArtifactHost),
    /// GitHub Packages.
    GithubPackages,
    /// The language repositories of Google Artifact Registry.
    GooglePackages,
    /// Azure Artifacts.
    AzureArtifacts,
    /// The package registry of a GitLab server.
    GitlabPackages,
    /// `JFrog` Artifactory.
    Jfrog,
    /// Any other package registry.
    Packages,
}

/// The parts of the host name of a `CodeArtifact` domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CodeArtifactHost {
    /// The domain, which may contain hyphens.
    pub domain: String,
    /// The twelve digits of the AWS account that owns the domain.
    pub owner: String,
    /// The region, such as `eu-west-1`.
    pub region: String,
}

/// The host of the npm registry of GitHub Packages.
pub const GITHUB_NPM: &str = "npm.pkg.github.com";

/// The hosts of GitHub Packages.
const GITHUB: [&str; 4] =
    [GITHUB_NPM, "nuget.pkg.github.com", "rubygems.pkg.github.com", "maven.pkg.github.com"];

impl PackageKind {
    /// The kind of the registry at `host`, which is lower-case ASCII without a port, and `path`, which
    /// is normalized.
    pub fn of(host: &str, path: &str) -> Self {
        if let Some(host) = CodeArtifactHost::parse(host) {
            return Self::CodeArtifact(host);
        }
        if GITHUB.contains(&host) {
            Self::GithubPackages
        } else if is_google(host) {
            Self::GooglePackages
        } else if host == "pkgs.dev.azure.com" || host.ends_with(".pkgs.visualstudio.com") {
            Self::AzureArtifacts
        } else if path.starts_with("/api/v4/") {
            Self::GitlabPackages
        } else if host.ends_with(".jfrog.io") || path.starts_with("/artifactory/") {
            Self::Jfrog
        } else {
            Self::Packages
        }
    }

    /// Whether a host has packages and nothing else. Of other hosts, the path tells.
    pub fn is_only_of_packages(host: &str) -> bool {
        use PackageKind::{AzureArtifacts, CodeArtifact, GithubPackages, GooglePackages};
        let kind = Self::of(host, "/");
        matches!(kind, CodeArtifact(_) | GithubPackages | GooglePackages | AzureArtifacts)
    }

    /// The kind's name in `status`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::CodeArtifact(_) => "codeartifact",
            Self::GithubPackages => "github-packages",
            Self::GooglePackages => "google-packages",
            Self::AzureArtifacts => "azure-artifacts",
            Self::GitlabPackages => "gitlab-packages",
            Self::Jfrog => "jfrog",
            Self::Packages => "packages",
        }
    }

    /// How clients send a credential in a request to `host` and `path`; `None` if the kind leaves that
    /// to the registry.
    pub(super) fn scheme(&self, host: &str, path: &str) -> Option<AuthScheme> {
        match self {
            // npm and cargo send a token as it is, the other clients as the password of `aws`.
            Self::CodeArtifact(_) => match path.split('/').nth(1) {
                Some("npm" | "cargo") => Some(AuthScheme::Bearer),
                _ => Some(AuthScheme::Basic),
            },
            Self::GithubPackages if host == GITHUB_NPM => Some(AuthScheme::Bearer),
            // A personal access token is a password here, with any user.
            Self::GithubPackages | Self::AzureArtifacts => Some(AuthScheme::Basic),
            Self::GooglePackages | Self::GitlabPackages | Self::Jfrog | Self::Packages => None,
        }
    }
}

impl CodeArtifactHost {
    /// Reads `DOMAIN-OWNER.d.codeartifact.REGION.DOMAIN`, with the domains of the IPv4 and the
    /// dual-stack endpoints.
    fn parse(host: &str) -> Option<Self> {
        let (label, rest) = host.split_once(".d.codeartifact.")?;
        let (region, domain) = rest.split_once('.')?;
        let (name, owner) = label.rsplit_once('-')?;
        let is_owner = owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit());
        let is_complete = !name.is_empty() && !label.contains('.') && !region.is_empty();
        let known = matches!(domain, "amazonaws.com" | "on.aws");
        (is_owner && is_complete && known).then(|| Self {
            domain: name.to_owned(),
            owner: owner.to_owned(),
            region: region.to_owned(),
        })
    }
}

/// `LOCATION-FORMAT.pkg.dev`, or the regional endpoint `FORMAT.REGION.rep.pkg.dev`, of a format other
/// than docker.
fn is_google(host: &str) -> bool {
    let regional = || host.strip_suffix(".rep.pkg.dev")?.split_once('.').map(|(format, _)| format);
    let of_location = || host.strip_suffix(".pkg.dev")?.rsplit_once('-').map(|(_, format)| format);
    let format = regional().or_else(of_location);
    format.is_some_and(|format| {
        format != "docker" && !format.is_empty() && format.bytes().all(|b| b.is_ascii_lowercase())
    })
}
