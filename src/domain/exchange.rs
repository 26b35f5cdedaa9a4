//! What is asked of AWS: logins that ask the same share one call and one token.

use super::declaration::AwsIdentity;
use super::server::Kind;

/// The key of an exchange. Equal keys get one call and one token: an ECR token is good for every
/// registry of its region that the identity may use, whatever the account in the host name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExchangeKey {
    /// The API that is called.
    pub service: EcrService,
    /// Who calls it.
    pub identity: AwsIdentity,
}

/// One of the two APIs that issue tokens, and its endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EcrService {
    /// `ecr`, in the region of the registry.
    Private {
        /// The region, such as `eu-west-1`.
        region: String,
        /// Whether the FIPS endpoint is called.
        fips: bool,
        /// Whether the dual-stack endpoint is called.
        dual_stack: bool,
    },
    /// `ecr-public`, which exists in `us-east-1` only.
    Public,
}

impl ExchangeKey {
    /// The exchange that a login needs; `None` where the registry is not one of AWS.
    pub fn of(kind: &Kind, identity: &AwsIdentity) -> Option<Self> {
        let service = match kind {
            Kind::Ecr(host) => EcrService::Private {
                region: host.region.clone(),
                fips: host.fips,
                dual_stack: host.dual_stack,
            },
            Kind::EcrPublic => EcrService::Public,
            _ => return None,
        };
        Some(Self { service, identity: identity.clone() })
    }
}

impl EcrService {
    /// The region whose endpoint is called.
    pub fn region(&self) -> &str {
        match self {
            Self::Private { region, .. } => region,
            Self::Public => "us-east-1",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::declaration::AwsKeys;
    use crate::domain::server::EcrHost;

    fn host(account: &str, region: &str, fips: bool) -> Kind {
        let (account, region) = (account.to_owned(), region.to_owned());
        Kind::Ecr(EcrHost { account, region, fips, dual_stack: false })
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
                ExchangeKey::of(&host(account, "eu-west-1", false), &identity("a"))
            })
            .collect();
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn another_region_endpoint_or_secret_is_another_exchange() {
        let keys: HashSet<_> = [
            (host("111122223333", "eu-west-1", false), "a"),
            (host("111122223333", "eu-west-2", false), "a"),
            (host("111122223333", "eu-west-1", true), "a"),
            (host("111122223333", "eu-west-1", false), "b"),
            (Kind::EcrPublic, "a"),
        ]
        .iter()
        .filter_map(|(kind, secret)| ExchangeKey::of(kind, &identity(secret)))
        .collect();
        assert_eq!(keys.len(), 5);
    }

    #[test]
    fn registries_of_others_need_no_exchange() {
        assert_eq!(ExchangeKey::of(&Kind::Generic, &identity("a")), None);
    }
}
