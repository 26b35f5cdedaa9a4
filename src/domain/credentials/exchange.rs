//! Identifies AWS exchanges, so that logins with the same parameters share one call and one token.

use serde::{Deserialize, Serialize};

use super::secret::Secret;
use crate::domain::declarations::declaration::{AwsIdentity, AwsKeys};
use crate::domain::declarations::source::Variables;
use crate::domain::servers::package_server::PackageKind;
use crate::domain::servers::registry_server::RegistryServer;
use crate::domain::servers::server::Kind;

/// The key of an exchange. Equal keys share one call and one token: an ECR token is valid for every
/// registry in its region that the identity may use, whatever the account in the host name, and a
/// `CodeArtifact` token for every repository and format of its domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExchangeKey {
    /// The API to call.
    pub service: TokenService,
    /// The identity that calls it.
    pub identity: AwsIdentity,
    /// The `AWS_*` variables if no keys are declared: another `AWS_PROFILE` is another identity.
    /// None is left out, because the SDK runs the profile's `credential_process`, a program that may
    /// read any of them. A variable that nothing reads costs one call.
    pub environment: Variables,
}

/// One of the APIs that issue tokens, with its endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenService {
    /// `ecr`, in the region of the registry.
    Private {
        /// The region, such as `eu-west-1`.
        region: String,
        /// Whether to call the FIPS endpoint.
        fips: bool,
        /// Whether to call the dual-stack endpoint.
        dual_stack: bool,
    },
    /// `ecr-public`, which exists only in `us-east-1`.
    Public,
    /// `codeartifact`, in the region of the domain.
    CodeArtifact {
        /// The domain.
        domain: String,
        /// The AWS account that owns it.
        owner: String,
        /// The region, such as `eu-west-1`.
        region: String,
    },
}

impl ExchangeKey {
    /// The exchange that a login needs in this environment; `None` if the registry is not an AWS
    /// registry.
    pub fn of(
        server: &RegistryServer,
        identity: &AwsIdentity,
        environment: &Variables,
    ) -> Option<Self> {
        let service = TokenService::of(server)?;
        let environment = environment
            .iter()
            .filter(|(name, _)| identity.keys.is_none() && name.starts_with("AWS_"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Some(Self { service, identity: identity.clone(), environment })
    }
}

/// Shortens an access key ID for display: `AKIA…WXYZ`. Text that is not an access key ID, such as a
/// secret in the wrong variable, is hidden completely.
pub fn shortened(access_key_id: &str) -> String {
    let is_key = access_key_id.len() >= 16
        && access_key_id.starts_with('A')
        && access_key_id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    match (access_key_id.get(..4), access_key_id.len().checked_sub(4)) {
        (Some(head), Some(tail)) if is_key => format!("{head}…{}", &access_key_id[tail..]),
        _ => "…".to_owned(),
    }
}

impl AwsKeys {
    /// Whether these are temporary keys (`ASIA…`) without their session token, which AWS always
    /// rejects.
    pub fn lack_session_token(&self) -> bool {
        self.access_key_id.starts_with("ASIA")
            && self.session_token.as_ref().is_none_or(Secret::is_empty)
    }
}

impl TokenService {
    /// The API that issues the tokens of a registry.
    fn of(server: &RegistryServer) -> Option<Self> {
        match server {
            RegistryServer::Container(server) => match server.kind() {
                Kind::Ecr(host) => Some(Self::Private {
                    region: host.region.clone(),
                    fips: host.fips,
                    dual_stack: host.dual_stack,
                }),
                Kind::EcrPublic => Some(Self::Public),
                _ => None,
            },
            RegistryServer::Package(server) => match server.kind() {
                PackageKind::CodeArtifact(host) => Some(Self::CodeArtifact {
                    domain: host.domain.clone(),
                    owner: host.owner.clone(),
                    region: host.region.clone(),
                }),
                _ => None,
            },
        }
    }

    /// The IAM action that issues the tokens.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Private { .. } => "ecr:GetAuthorizationToken",
            Self::Public => "ecr-public:GetAuthorizationToken",
            Self::CodeArtifact { .. } => "codeartifact:GetAuthorizationToken",
        }
    }

    /// The `CodeArtifact` domain and its owner; `None` for ECR.
    pub fn domain(&self) -> Option<(&str, &str)> {
        match self {
            Self::CodeArtifact { domain, owner, .. } => Some((domain, owner)),
            Self::Private { .. } | Self::Public => None,
        }
    }

    /// The region of the endpoint.
    pub fn region(&self) -> &str {
        match self {
            Self::Private { region, .. } | Self::CodeArtifact { region, .. } => region,
            Self::Public => "us-east-1",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::servers::package_server::PackageServer;
    use crate::domain::servers::server::Server;

    fn container(host: &str) -> RegistryServer {
        Server::parse(host).unwrap().0.into()
    }

    fn host(account: &str, region: &str, fips: bool) -> RegistryServer {
        let ecr = if fips { "ecr-fips" } else { "ecr" };
        container(&format!("{account}.dkr.{ecr}.{region}.amazonaws.com"))
    }

    fn identity(secret: &str) -> AwsIdentity {
        let keys = AwsKeys {
            access_key_id: "AKIAEXAMPLE".to_owned(),
            secret_access_key: secret.into(),
            session_token: None,
        };
        AwsIdentity { keys: Some(keys), role_arn: None, profile: None }
    }

    #[test]
    fn logins_of_one_identity_and_region_share_one_exchange() {
        let keys: HashSet<_> = ["111122223333", "444455556666"]
            .iter()
            .filter_map(|account| {
                ExchangeKey::of(
                    &host(account, "eu-west-1", false),
                    &identity("a"),
                    &Variables::new(),
                )
            })
            .collect();
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn all_formats_of_a_domain_share_one_exchange() {
        let exchanges = |urls: &[&str]| {
            let key = |url: &&str| {
                let server = PackageServer::parse(&format!("https://{url}")).ok()?.into();
                ExchangeKey::of(&server, &identity("a"), &Variables::new())
            };
            urls.iter().filter_map(key).collect::<HashSet<_>>().len()
        };
        let one = "acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com";
        assert_eq!(exchanges(&[one, &format!("{one}/npm/a"), &format!("{one}:443/pypi/b/")]), 1);
        let others = [
            "other-111122223333.d.codeartifact.eu-west-1.amazonaws.com",
            "acme-444455556666.d.codeartifact.eu-west-1.amazonaws.com",
            "acme-111122223333.d.codeartifact.eu-west-2.amazonaws.com",
            "nexus.test",
        ];
        assert_eq!(exchanges(&[&[one], &others[..]].concat()), 4);
    }

    #[test]
    fn another_region_endpoint_or_secret_is_another_exchange() {
        let keys: HashSet<_> = [
            (host("111122223333", "eu-west-1", false), "a"),
            (host("111122223333", "eu-west-2", false), "a"),
            (host("111122223333", "eu-west-1", true), "a"),
            (host("111122223333", "eu-west-1", false), "b"),
            (container("public.ecr.aws"), "a"),
        ]
        .iter()
        .filter_map(|(server, secret)| {
            ExchangeKey::of(server, &identity(secret), &Variables::new())
        })
        .collect();
        assert_eq!(keys.len(), 5);
    }

    #[test]
    fn aws_variables_determine_the_identity_only_if_no_keys_are_declared() {
        let server = host("111122223333", "eu-west-1", false);
        let found = AwsIdentity { keys: None, role_arn: None, profile: None };
        let exchanges = |identity: &AwsIdentity| {
            let set = |name: &str| Variables::from([(name.to_owned(), "x".into())]);
            ["AWS_PROFILE", "AWS_ROLE_ARN", "HTTPS_PROXY", "SSL_CERT_FILE"]
                .iter()
                .filter_map(|name| ExchangeKey::of(&server, identity, &set(name)))
                .collect::<HashSet<_>>()
                .len()
        };
        assert_eq!((exchanges(&found), exchanges(&identity("a"))), (3, 1));
    }

    #[test]
    fn other_registries_need_no_exchange() {
        assert_eq!(
            ExchangeKey::of(&container("acme.test"), &identity("a"), &Variables::new()),
            None
        );
    }

    #[test]
    fn an_access_key_is_shortened_and_other_text_is_hidden() {
        assert_eq!(shortened("AKIAIOSFODNN7EXAMPLE"), "AKIA…MPLE");
        for other in
            ["", "test", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AKIAÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ"]
        {
            assert_eq!(shortened(other), "…");
        }
    }

    #[test]
    fn temporary_keys_need_their_session_token() {
        let keys = |id: &str, token: Option<&str>| AwsKeys {
            access_key_id: id.to_owned(),
            secret_access_key: "secret".into(),
            session_token: token.map(Into::into),
        };
        assert!(keys("ASIAEXAMPLE", None).lack_session_token());
        assert!(keys("ASIAEXAMPLE", Some("")).lack_session_token());
        assert!(!keys("ASIAEXAMPLE", Some("token")).lack_session_token());
        assert!(!keys("AKIAEXAMPLE", None).lack_session_token());
    }
}
