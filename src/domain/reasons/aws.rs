//! Why an AWS identity cannot be exchanged for an ECR token.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::connection::ConnectionFault;
use super::step::Step;
use super::{Severity, shell_word};

/// Why there is no ECR token, or a remark on one.
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
    /// AWS rejected the request with an error that has no variant of its own.
    #[error("AWS rejected {action} with the error {code}")]
    Refused {
        /// The IAM action.
        action: String,
        /// The error code from AWS.
        code: String,
    },
    /// AWS rejected the signature because of its timestamp.
    #[error("AWS rejected {action}: this machine's clock is off by {} s", .seconds.abs())]
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
    #[error("this machine's clock is {} s {} AWS's", .seconds.abs(), if *.seconds < 0 { "behind" } else { "ahead of" })]
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

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::UnknownAccessKey { region, opt_in: true, .. } => format!(
                "set the user to an active access key ID; if it is active, enable {region} in the AWS account, or use a session from a regional STS endpoint"
            ),
            Self::UnknownAccessKey { .. } => {
                "set the user to an active access key ID".to_owned()
            }
            Self::WrongSecret { .. } => {
                "set the password to the secret access key that belongs to this access key ID".to_owned()
            }
            Self::SessionExpired { .. } => {
                "set user, password and session token from a new AWS session, or use a role or profile, which the agent renews automatically".to_owned()
            }
            Self::SessionTokenMissing { .. } => {
                "set `<NAME>_CONTAINER_REGISTRY_SESSION_TOKEN` (or AWS_SESSION_TOKEN, if the key is in AWS_ACCESS_KEY_ID) to the session token that was issued with the key".to_owned()
            }
            Self::AccessDenied { action, explicit: true, .. } => {
                format!("remove {action} from the policy that denies it, or use another identity")
            }
            Self::AccessDenied { action, .. } => format!(
                "allow {action} on resource * in an IAM policy of this identity; `registry-agent explain aws-access-denied` shows the policy"
            ),
            Self::RoleRefused { role, .. } => format!(
                "allow sts:AssumeRole on {role} for this identity, and add the identity to the role's trust policy"
            ),
            Self::RegionNotEnabled { region } => {
                format!("enable {region} in the AWS account, or declare a registry in another region")
            }
            Self::Refused { action, code } => {
                format!("look up {code} in the AWS documentation of {action}, then correct the identity")
            }
            Self::ClockRefused { .. } | Self::ClockOff { .. } => {
                "correct the clock of this machine, or of the host if this is a container".to_owned()
            }
            Self::Throttled { .. } => {
                "no action needed; retried automatically. If it persists, ask AWS for a higher quota".to_owned()
            }
            Self::ProxyRefused { host, fault }
            | Self::Unreachable { host, fault: fault @ ConnectionFault::CaFile { .. } } => fault.fix(host),
            Self::Unreachable { fault: ConnectionFault::UnknownAuthority { .. }, .. } => {
                "set SSL_CERT_FILE to a PEM file with the certificates of all authorities to trust, this one's included".to_owned()
            }
            Self::Unreachable { host, .. } | Self::TimedOut { host, .. } => format!(
                "check DNS, firewall, VPC endpoint and the variables HTTPS_PROXY and AWS_ENDPOINT_URL_* until {host} can be reached"
            ),
            Self::ServiceFault { .. } | Self::BadAnswer { .. } => {
                "no action needed; retried automatically. If it persists, check the AWS_ENDPOINT_URL_* variables".to_owned()
            }
            Self::NoIdentity => {
                "set the user to an AWS access key ID and the password to its secret key, or give this machine a profile, web identity or role".to_owned()
            }
            Self::ProfileMissing { profile } => format!(
                "add the profile {profile} with credentials to ~/.aws/config of the agent's user, or set `<NAME>_CONTAINER_REGISTRY_PROFILE` to another profile"
            ),
            Self::IdentityBroken { place } => format!(
                "correct the AWS settings of {place} until `aws sts get-caller-identity{}` succeeds for the agent's user",
                profile_option(place)
            ),
            Self::SsoEnded { place } => {
                format!("run `aws sso login{}` as the agent's user", profile_option(place))
            }
            Self::LoginEnded { place } => {
                format!("run `aws login{}` as the agent's user", profile_option(place))
            }
            Self::ProcessFailed { .. } => {
                "no action needed; retried automatically. If it persists, free memory or raise the limit on the user's processes".to_owned()
            }
            Self::NoEndpoint { .. } => {
                "unset the AWS_ENDPOINT_URL_* variables, which do not work with FIPS and dual-stack hosts, or declare the standard host".to_owned()
            }
        }
    }
}

/// ` --profile NAME` if the place is a profile.
fn profile_option(place: &str) -> String {
    place
        .strip_prefix("profile ")
        .map_or_else(String::new, |name| format!(" --profile {}", shell_word(name)))
}
