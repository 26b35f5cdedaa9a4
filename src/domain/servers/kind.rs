//! The kinds of registries, recognized by complete labels of the host name.

/// The kind of a registry, which decides its rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A private AWS ECR registry.
    Ecr(EcrHost),
    /// The public AWS ECR gallery.
    EcrPublic,
    /// Docker Hub.
    DockerHub,
    /// GitHub's container registry.
    Ghcr,
    /// Azure's container registry.
    Acr,
    /// Google's container registry.
    Gcr,
    /// Google's artifact registry.
    ArtifactRegistry,
    /// Any other registry.
    Generic,
}

/// The parts of the host name of a private ECR registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EcrHost {
    /// The twelve digits of the AWS account.
    pub account: String,
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// Whether it uses the FIPS endpoints.
    pub fips: bool,
    /// Whether it uses the dual-stack endpoints.
    pub dual_stack: bool,
}

impl Kind {
    /// The kind of the registry at `host`, which is lower-case ASCII without port and trailing dot.
    ///
    /// Docker Hub uses only the standard port, which [`super::server::Server`] checks.
    pub fn of_host(host: &str) -> Self {
        if let Some(ecr) = EcrHost::parse(host) {
            return Self::Ecr(ecr);
        }
        match host {
            "docker.io" | "index.docker.io" | "registry-1.docker.io" => Self::DockerHub,
            "ghcr.io" => Self::Ghcr,
            "public.ecr.aws" | "ecr-public.aws.com" => Self::EcrPublic,
            "gcr.io" => Self::Gcr,
            _ if is_below(host, &["gcr.io"]) => Self::Gcr,
            _ if is_below(host, &ACR_DOMAINS) => Self::Acr,
            _ if is_artifact_registry(host) => Self::ArtifactRegistry,
            _ => Self::Generic,
        }
    }

    /// The kind's name in `status`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ecr(_) => "ecr",
            Self::EcrPublic => "ecr-public",
            Self::DockerHub => "docker-hub",
            Self::Ghcr => "ghcr",
            Self::Acr => "acr",
            Self::Gcr => "gcr",
            Self::ArtifactRegistry => "artifact-registry",
            Self::Generic => "generic",
        }
    }
}

/// The domains of Azure's clouds.
const ACR_DOMAINS: [&str; 4] = ["azurecr.io", "azurecr.cn", "azurecr.us", "azurecr.de"];

/// The domains of ECR's partitions (`awslabs/amazon-ecr-credential-helper`, `ecr-login/api/client.go`).
const ECR_DOMAINS: [&str; 9] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "on.aws",
    "on.amazonwebservices.com.cn",
    "sc2s.sgov.gov",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

impl EcrHost {
    /// Reads `ACCOUNT.dkr.ecr[-fips].REGION.DOMAIN` and `ACCOUNT.dkr-ecr[-fips].REGION.DOMAIN`.
    pub(super) fn parse(host: &str) -> Option<Self> {
        let (account, rest) = host.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (dashed, rest) = match rest.strip_prefix("dkr-ecr") {
            Some(rest) => (true, rest),
            None => (false, rest.strip_prefix("dkr.ecr")?),
        };
        let (fips, rest) = match rest.strip_prefix("-fips.") {
            Some(rest) => (true, rest),
            None => (false, rest.strip_prefix('.')?),
        };
        let (region, domain) = rest.split_once('.')?;
        if region.is_empty() || region.starts_with('-') || !ECR_DOMAINS.contains(&domain) {
            return None;
        }
        let dual_stack = dashed && domain.starts_with("on.");
        Some(Self { account: account.to_owned(), region: region.to_owned(), fips, dual_stack })
    }
}

/// Whether `host` is a subdomain of one of `domains`.
fn is_below(host: &str, domains: &[&str]) -> bool {
    domains.iter().any(|domain| {
        host.strip_suffix(domain)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|own| !own.is_empty())
    })
}

/// `LOCATION-docker.pkg.dev`, or the regional endpoint `docker.REGION.rep.pkg.dev`.
fn is_artifact_registry(host: &str) -> bool {
    let regional = || host.strip_prefix("docker.")?.strip_suffix(".rep.pkg.dev");
    host.strip_suffix("-docker.pkg.dev")
        .or_else(regional)
        .is_some_and(|location| !location.is_empty() && !location.contains('.'))
}
