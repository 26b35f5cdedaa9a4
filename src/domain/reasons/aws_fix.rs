//! How to get a token from AWS that it refuses.

use super::aws::AwsReason;
use super::connection::ConnectionFault;
use super::connection_fix::CORRECT_CLOCK;
use super::{FixContext, shell_word};
use crate::domain::declarations::variable::Field;

impl AwsReason {
    /// What to do about it, for this login.
    pub fn fix(&self, login: &FixContext) -> String {
        let of_identity = || self.fix_of_keys(login).or_else(|| self.fix_of_identity(login));
        if let Some(fix) = of_identity().or_else(|| self.fix_of_rights(login)) {
            return fix;
        }
        match self {
            Self::ClockRefused { .. } => format!("{CORRECT_CLOCK}, {}", login.then_check()),
            Self::ClockOff { .. } => CORRECT_CLOCK.to_owned(),
            Self::Throttled { .. } => {
                format!("{}. If it persists, ask AWS for a higher quota", login.retried())
            }
            Self::ProxyRefused { host, fault }
            | Self::Unreachable { host, fault: fault @ ConnectionFault::CaFile { .. } } => {
                fault.fix(host, login)
            }
            Self::Unreachable { fault: ConnectionFault::UnknownAuthority { .. }, .. } => {
                "set SSL_CERT_FILE to a PEM file with the certificates of all authorities to trust, this one's included, then run `registry-agent sync` in a shell that also has the registry variables".to_owned()
            }
            Self::Unreachable { host, .. } | Self::TimedOut { host, .. } => format!(
                "check DNS, firewall, VPC endpoint and the variables HTTPS_PROXY and AWS_ENDPOINT_URL_* until {host} can be reached, {}",
                login.then_check()
            ),
            Self::ServiceFault { .. } | Self::BadAnswer { .. } => {
                format!("{}. If it persists, check the AWS_ENDPOINT_URL_* variables", login.retried())
            }
            Self::NoEndpoint { .. } => format!(
                "unset the AWS_ENDPOINT_URL_* variables, which do not work with FIPS and dual-stack hosts, and run `registry-agent sync` in a shell that has the registry variables; or {}",
                login.set(&[(Field::Server, "the standard host")])
            ),
            _ => {
                format!("{}. If it persists, free memory or raise the limit on the user's processes", login.retried())
            }
        }
    }

    /// If the keys are wrong.
    fn fix_of_keys(&self, login: &FixContext) -> Option<String> {
        Some(match self {
            Self::UnknownAccessKey { region, opt_in: true, .. } => format!(
                "{}; if the key is active, enable {region} in the AWS account, or use a session from a regional STS endpoint",
                new_keys(login)
            ),
            Self::WrongSecret { .. } if login.has(Field::User) => {
                login.set(&[(Field::Password, "the secret access key of this access key ID")])
            }
            Self::SessionExpired { .. } if login.has(Field::User) => format!(
                "{}; keys of a user, a role or a profile are renewed automatically",
                login.set(&[
                    (Field::User, "the access key ID of a new AWS session"),
                    (Field::Password, "its secret access key"),
                    (Field::SessionToken, "its session token"),
                ])
            ),
            Self::UnknownAccessKey { .. } | Self::WrongSecret { .. } | Self::SessionExpired { .. } => {
                new_keys(login)
            }
            Self::SessionTokenMissing { .. } if login.has(Field::User) => login
                .set(&[(Field::SessionToken, "the session token that AWS issued with the key")]),
            Self::SessionTokenMissing { .. } => {
                "set AWS_SESSION_TOKEN to the session token that AWS issued with the key, then run `registry-agent sync` in a shell that has it".to_owned()
            }
            _ => return None,
        })
    }

    /// If the machine has no identity, or one that cannot be loaded.
    fn fix_of_identity(&self, login: &FixContext) -> Option<String> {
        Some(match self {
            Self::NoIdentity => format!(
                "{}; or give this machine a profile, web identity or role, {}",
                login.set(&KEYS),
                login.then_check()
            ),
            Self::ProfileMissing { profile } => format!(
                "add the profile {profile} with credentials to ~/.aws/config of the agent's user, {}; or {}",
                login.then_check(),
                login.set(&[(Field::Profile, "another profile")])
            ),
            Self::IdentityBroken { place } => format!(
                "correct the AWS settings of {place} in ~/.aws/config of the agent's user, {}; `aws sts get-caller-identity{}` (AWS CLI) tells what is wrong",
                login.then_check(),
                profile_option(place)
            ),
            Self::SsoEnded { place } => format!(
                "run `aws sso login{}` (AWS CLI) as the agent's user, {}",
                profile_option(place),
                login.then_check()
            ),
            Self::LoginEnded { place } => format!(
                "run `aws login{}` (AWS CLI) as the agent's user, {}",
                profile_option(place),
                login.then_check()
            ),
            _ => return None,
        })
    }

    /// If the identity lacks a right, or asks for something that it does not have.
    fn fix_of_rights(&self, login: &FixContext) -> Option<String> {
        Some(match self {
            Self::AccessDenied { action, explicit: true, .. } => format!(
                "remove {action} from the policy that denies it, or use another identity, {}",
                login.then_check()
            ),
            Self::AccessDenied { action, .. } => format!(
                "allow {action} on resource * in an IAM policy of this identity, {}; `registry-agent explain aws-access-denied` shows the policy",
                login.then_check()
            ),
            Self::RoleRefused { role, .. } => format!(
                "allow sts:AssumeRole on {role} for this identity, and add the identity to the role's trust policy, {}",
                login.then_check()
            ),
            Self::RegionNotEnabled { region } => format!(
                "enable {region} in the AWS account, {}; or {}",
                login.then_check(),
                login.set(&[(Field::Server, "a registry in another region")])
            ),
            Self::DomainMissing { domain, owner, region } => {
                login.set(&[(Field::Server, &repository_url(domain, owner, region))])
            }
            Self::Refused { action, code } => format!(
                "look up {code} in the AWS documentation of {action} and correct the identity, {}",
                login.then_check()
            ),
            _ => return None,
        })
    }
}

/// Keys of a user, which do not expire.
pub(super) const KEYS: [(Field, &str); 2] =
    [(Field::User, "an active AWS access key ID"), (Field::Password, "its secret access key")];

/// Where to get the URL of a repository of `CodeArtifact`.
fn repository_url(domain: &str, owner: &str, region: &str) -> String {
    format!(
        "a URL from `aws codeartifact get-repository-endpoint --domain {domain} --domain-owner {owner} \
         --region {region} --repository REPOSITORY --format npm` (AWS CLI), with the right domain, account \
         and region"
    )
}

/// How to replace the keys where they are: in the declaration, or in the AWS settings of the machine.
fn new_keys(login: &FixContext) -> String {
    if login.has(Field::User) {
        return login.set(&KEYS);
    }
    format!(
        "set aws_access_key_id and aws_secret_access_key in ~/.aws/credentials of the agent's user (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, then run `registry-agent sync`) to active keys, {}",
        login.then_check()
    )
}

/// ` --profile NAME` if the place is a profile.
fn profile_option(place: &str) -> String {
    place
        .strip_prefix("profile ")
        .map_or_else(String::new, |name| format!(" --profile {}", shell_word(name)))
}
