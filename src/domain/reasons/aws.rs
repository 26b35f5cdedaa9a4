//! Why an AWS identity cannot be exchanged for a token of ECR or `CodeArtifact`.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::connection::ConnectionFault;
use super::connection_fix::CORRECT_CLOCK;
use super::step::Step;
use super::{FixContext, Severity, duration, shell_word};
use crate::domain::declarations::variable::Field;

/// Why there is no token, or a remark on one.
///
/// Access keys are shortened beforehand (`exchange::shortened`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum AwsReason {
    /// AWS does not recognize the access key, at least not in this region.
    #[error("AWS does not recognize the access key {key} in {region}")]
    UnknownAccessKey {
        /// The access key ID, shortened.
        key: String,
        /// The region of the endpoint.
        region: String,
        /// Whether accounts have to enable this region first.
        opt_in: bool,
    },
    /// The secret key does not match the access key.
    #[error("the secret key of the access key {key} is wrong")]
    WrongSecret {
        /// The access key ID, shortened.
        key: String,
    },
    /// The temporary keys have expired.
    #[error("the AWS session of the access key {key} has expired")]
    SessionExpired {
        /// The access key ID, shortened.
        key: String,
    },
    /// Temporary keys without their session token. Detected before anything is sent.
    #[error("the access key {key} is temporary, but its session token is not set")]
    SessionTokenMissing {
        /// The access key ID, shortened.
        key: String,
    },
    /// An IAM policy does not allow the call.
    #[error("AWS does not allow {who} to call {action}")]
    AccessDenied {
        /// The ARN that AWS named, or the shortened access key.
        who: String,
        /// The IAM action that is not allowed.
        action: String,
        /// Whether a policy explicitly denies it.
        explicit: bool,
    },
    /// This identity may not assume the role of `_ROLE_ARN`.
    #[error("AWS does not allow {who} to assume {role}")]
    RoleRefused {
        /// The ARN that AWS named, or the shortened access key.
        who: String,
        /// The ARN of the role.
        role: String,
    },
    /// The account has not enabled the region.
    #[error("the AWS region {region} is not enabled in this account")]
    RegionNotEnabled {
        /// The name of the region.
        region: String,
    },
    /// The `CodeArtifact` domain of the server's name does not exist.
    #[error(
        "the AWS CodeArtifact domain {domain} of the account {owner} does not exist in {region}"
    )]
    DomainMissing {
        /// The name of the domain.
        domain: String,
        /// The account that the server's name states.
        owner: String,
        /// The region that the server's name states.
        region: String,
    },
    /// AWS rejected the request with an error that has no variant of its own.
    #[error("AWS rejected {action} with the error {code}")]
    Refused {
        /// The IAM action.
        action: String,
        /// The error code from AWS.
        code: String,
    },
    /// AWS rejected the signature because of its timestamp.
    #[error("AWS rejected {action}: this machine's clock is off by {}", duration(SignedDuration::from_secs(*.seconds)))]
    ClockRefused {
        /// The IAM action.
        action: String,
        /// Local time minus AWS time, in seconds.
        seconds: i64,
    },
    /// Too many calls in this account and region.
    #[error("{host} is throttling the requests of this account")]
    Throttled {
        /// The host of the endpoint.
        host: String,
    },
    /// The endpoint could not be reached.
    #[error("{}", .fault.sentence(.host))]
    Unreachable {
        /// The host of the endpoint.
        host: String,
        /// Why the connection failed.
        fault: ConnectionFault,
    },
    /// The proxy did not connect to the endpoint.
    #[error("{}", .fault.sentence(.host))]
    ProxyRefused {
        /// The host of the endpoint.
        host: String,
        /// Why the proxy did not connect.
        fault: ConnectionFault,
    },
    /// No response within the time limit.
    #[error("{host} did not respond within {seconds} s")]
    TimedOut {
        /// The host of the endpoint, or another service that did not respond.
        host: String,
        /// The time limit.
        seconds: u64,
    },
    /// The endpoint reported a failure of its own.
    #[error("{host} failed with HTTP status {status}")]
    ServiceFault {
        /// The host of the endpoint.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// The endpoint responded without a usable token.
    #[error("{host} sent a response without a usable token")]
    BadAnswer {
        /// The host of the endpoint.
        host: String,
    },
    /// No keys are declared, and the default credential chain provides none.
    #[error(
        "no AWS credentials were found: no keys are declared, and the default credential chain has none"
    )]
    NoIdentity,
    /// `_PROFILE` names a profile that is missing in the shared AWS files or provides no
    /// credentials.
    #[error("the AWS profile {profile} does not exist or has no credentials")]
    ProfileMissing {
        /// The name of the profile.
        profile: String,
    },
    /// A profile or another part of the chain exists, but cannot be loaded.
    #[error("the AWS credentials of {place} cannot be loaded")]
    IdentityBroken {
        /// The profile, or "the default chain".
        place: String,
    },
    /// The user has to renew the SSO session.
    #[error("the AWS SSO session of {place} has expired")]
    SsoEnded {
        /// The profile, or "the default chain".
        place: String,
    },
    /// The user has to renew the session of `aws login`.
    #[error("the AWS login session of {place} has expired or cannot be read")]
    LoginEnded {
        /// The profile, or "the default chain".
        place: String,
    },
    /// The SDK found no endpoint, for example because an endpoint variable is set for a FIPS host.
    #[error("no AWS endpoint exists for {action} in {region} with the current settings")]
    NoEndpoint {
        /// The IAM action.
        action: String,
        /// The region of the registry.
        region: String,
    },
    /// The process that runs the exchange could not be started, or crashed.
    #[error("the process that requests the token from AWS failed: {error}")]
    ProcessFailed {
        /// The error of the operating system, or how the process ended.
        error: String,
    },
    /// A remark: the token is valid, but the clock is wrong.
    #[error("this machine's clock is {} {} AWS's", duration(SignedDuration::from_secs(*.seconds)), if *.seconds < 0 { "behind" } else { "ahead of" })]
    ClockOff {
        /// Local time minus AWS time, in seconds.
        seconds: i64,
    },
}

impl AwsReason {
    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownAccessKey { .. } => "aws-unknown-access-key",
            Self::WrongSecret { .. } => "aws-wrong-secret",
            Self::SessionExpired { .. } => "aws-session-expired",
            Self::SessionTokenMissing { .. } => "aws-session-token-missing",
            Self::AccessDenied { .. } => "aws-access-denied",
            Self::RoleRefused { .. } => "aws-role-refused",
            Self::RegionNotEnabled { .. } => "aws-region-not-enabled",
            Self::DomainMissing { .. } => "aws-domain-missing",
            Self::Refused { .. } => "aws-refused",
            Self::ClockRefused { .. } => "aws-clock-refused",
            Self::Throttled { .. } => "aws-throttled",
            Self::Unreachable { .. } => "aws-unreachable",
            Self::ProxyRefused { .. } => "aws-proxy-refused",
            Self::TimedOut { .. } => "aws-timed-out",
            Self::ServiceFault { .. } => "aws-service-fault",
            Self::BadAnswer { .. } => "aws-bad-answer",
            Self::NoIdentity => "aws-no-identity",
            Self::ProfileMissing { .. } => "aws-profile-missing",
            Self::IdentityBroken { .. } => "aws-identity-broken",
            Self::SsoEnded { .. } => "aws-sso-ended",
            Self::LoginEnded { .. } => "aws-login-ended",
            Self::NoEndpoint { .. } => "aws-no-endpoint",
            Self::ProcessFailed { .. } => "aws-process-failed",
            Self::ClockOff { .. } => "aws-clock-off",
        }
    }

    /// Whether it keeps clients from a login.
    pub fn severity(&self) -> Severity {
        match self {
            Self::ClockOff { .. } => Severity::Remark,
            _ => Severity::Error,
        }
    }

    /// The step of `check` that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::SessionTokenMissing { .. } => Step::Values,
            _ => Step::Exchange,
        }
    }

    /// What to do about it, for this login.
    pub fn fix(&self, login: &FixContext) -> String {
        match self {
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
            Self::ProcessFailed { .. } => {
                format!("{}. If it persists, free memory or raise the limit on the user's processes", login.retried())
            }
            Self::NoEndpoint { .. } => format!(
                "unset the AWS_ENDPOINT_URL_* variables, which do not work with FIPS and dual-stack hosts, and run `registry-agent sync` in a shell that has the registry variables; or {}",
                login.set(&[(Field::Server, "the standard host")])
            ),
        }
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
