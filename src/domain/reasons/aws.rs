//! What can be wrong when an AWS identity is exchanged for an ECR token.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why there is no ECR token, or what is odd about the one there is.
///
/// Access keys are shortened before they come here (`exchange::shortened`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum AwsReason {
    /// AWS does not know the access key, or not in this region.
    #[error("AWS does not know the access key {key} in {region}")]
    UnknownAccessKey {
        /// The access key ID, shortened.
        key: String,
        /// The region that was asked.
        region: String,
        /// Whether an account has to enable this region first.
        opt_in: bool,
    },
    /// The secret does not belong to the access key.
    #[error("AWS knows the access key {key}, but its secret key is wrong")]
    WrongSecret {
        /// The access key ID, shortened.
        key: String,
    },
    /// The temporary keys are past their end.
    #[error("the AWS session of the access key {key} has expired")]
    SessionExpired {
        /// The access key ID, shortened.
        key: String,
    },
    /// Temporary keys without the session token that belongs to them. Found before anything is sent.
    #[error("the access key {key} is a temporary one, and its session token is not set")]
    SessionTokenMissing {
        /// The access key ID, shortened.
        key: String,
    },
    /// An IAM policy does not allow the call.
    #[error("AWS denies {who} the action {action}")]
    AccessDenied {
        /// The ARN that AWS named, or the shortened access key.
        who: String,
        /// The IAM action that is missing.
        action: String,
        /// Whether a policy denies it outright.
        explicit: bool,
    },
    /// The role of `_ROLE_ARN` may not be assumed by this identity.
    #[error("AWS does not let {who} assume {role}")]
    RoleRefused {
        /// The ARN that AWS named, or the shortened access key.
        who: String,
        /// The role.
        role: String,
    },
    /// The account has not enabled the region.
    #[error("the AWS region {region} is not enabled in this account")]
    RegionNotEnabled {
        /// The region.
        region: String,
    },
    /// AWS refused for a reason that has no entry of its own.
    #[error("AWS refused {action}: {code}")]
    Refused {
        /// The IAM action.
        action: String,
        /// AWS's own code.
        code: String,
    },
    /// AWS refused the signature because of the time in it.
    #[error("AWS refused {action}, because this machine's clock is {seconds} s off")]
    ClockRefused {
        /// The IAM action.
        action: String,
        /// Local time less AWS's, in seconds.
        seconds: i64,
    },
    /// Too many calls in this account and region.
    #[error("{host} is throttling this account's calls")]
    Throttled {
        /// The endpoint.
        host: String,
    },
    /// The endpoint could not be reached.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The endpoint.
        host: String,
        /// What happened, such as "connection refused".
        why: String,
    },
    /// The proxy would not open a way to the endpoint.
    #[error("the proxy does not let us through to {host}: {why}")]
    ProxyRefused {
        /// The endpoint.
        host: String,
        /// What happened, such as "it wants a password".
        why: String,
    },
    /// No answer within the time limit.
    #[error("{host} did not answer within {seconds} s")]
    TimedOut {
        /// The endpoint, or what else was waited for.
        host: String,
        /// The limit.
        seconds: u64,
    },
    /// The endpoint failed on its own account.
    #[error("{host} failed with status {status}")]
    ServiceFault {
        /// The endpoint.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// The endpoint answered, but with no token that can be used.
    #[error("{host} answered without a usable token")]
    BadAnswer {
        /// The endpoint.
        host: String,
    },
    /// Neither keys were declared, nor does the default chain know any.
    #[error("no AWS identity was found: no keys are declared, and the default chain has none")]
    NoIdentity,
    /// `_PROFILE` names a profile that the shared AWS files do not have, or that leads nowhere.
    #[error("the AWS profile {profile} does not exist, or leads to no credentials")]
    ProfileMissing {
        /// The profile.
        profile: String,
    },
    /// A profile, or another part of the chain, is there but cannot work.
    #[error("the AWS identity of {place} cannot be loaded")]
    IdentityBroken {
        /// The profile, or "the default chain".
        place: String,
    },
    /// The SSO session has to be renewed by a person.
    #[error("the AWS SSO session of {place} has ended")]
    SsoEnded {
        /// The profile, or "the default chain".
        place: String,
    },
    /// The SDK found no endpoint to call, as with an endpoint variable on a FIPS host.
    #[error("there is no AWS endpoint to call for {action} in {region}")]
    NoEndpoint {
        /// The IAM action.
        action: String,
        /// The region.
        region: String,
    },
    /// A remark: the token is good, the clock is not.
    #[error("this machine's clock is {} s {} AWS's", .seconds.abs(), if *.seconds < 0 { "behind" } else { "ahead of" })]
    ClockOff {
        /// Local time less AWS's, in seconds.
        seconds: i64,
    },
}

impl AwsReason {
    /// A stable word for programs.
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
            Self::NoEndpoint { .. } => "aws-no-endpoint",
            Self::ClockOff { .. } => "aws-clock-off",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::UnknownAccessKey { region, opt_in: true, .. } => format!(
                "set the user to an access key ID that exists and is active; if it is, enable {region} in the account, or get the session from a regional STS endpoint"
            ),
            Self::UnknownAccessKey { .. } => {
                "set the user to an access key ID that exists and is active".to_owned()
            }
            Self::WrongSecret { .. } => {
                "set the password to the secret access key of this access key ID".to_owned()
            }
            Self::SessionExpired { .. } => {
                "set user, password and session token again, from a new AWS session; or use a role, which renews itself".to_owned()
            }
            Self::SessionTokenMissing { .. } => {
                "set the _SESSION_TOKEN variable of the same set (AWS_SESSION_TOKEN where the keys are in the environment) to the token that came with the keys".to_owned()
            }
            Self::AccessDenied { action, explicit: true, .. } => {
                format!("remove {action} from the policy that denies it, or use another identity")
            }
            Self::AccessDenied { action, .. } => format!(
                "allow {action} on resource * in an IAM policy of this identity (docs/ecr.md has the whole policy)"
            ),
            Self::RoleRefused { role, .. } => format!(
                "allow sts:AssumeRole on {role} for this identity, and name the identity in the role's trust policy"
            ),
            Self::RegionNotEnabled { region } => {
                format!("enable {region} in the AWS account, or declare the registry of another region")
            }
            Self::Refused { .. } => {
                "look the code up in the AWS documentation of that action, then correct the identity".to_owned()
            }
            Self::ClockRefused { .. } | Self::ClockOff { .. } => {
                "set this machine's clock, or start its time synchronisation".to_owned()
            }
            Self::Throttled { .. } => {
                "wait: it is tried again; if it lasts, share the load between accounts or ask AWS for a higher quota".to_owned()
            }
            Self::Unreachable { host, .. } | Self::TimedOut { host, .. } => format!(
                "open the way to {host}: check DNS, firewall, VPC endpoint, and the HTTPS_PROXY and AWS_ENDPOINT_URL_* variables"
            ),
            Self::ProxyRefused { host, .. } => format!(
                "let the proxy in HTTPS_PROXY connect to {host}, give its password in HTTPS_PROXY, or name the host in NO_PROXY"
            ),
            Self::ServiceFault { .. } | Self::BadAnswer { .. } => {
                "wait: it is tried again; if it lasts, check what the AWS_ENDPOINT_URL_* variables point to".to_owned()
            }
            Self::NoIdentity => {
                "set user and password to an AWS access key, or give this machine a profile, web identity or role".to_owned()
            }
            Self::ProfileMissing { profile } => format!(
                "add the profile {profile}, with credentials, to ~/.aws/config of the agent's user, or name another one in the _PROFILE variable"
            ),
            Self::IdentityBroken { place } => format!(
                "correct the AWS settings of {place}; `aws sts get-caller-identity` as the agent's user must succeed"
            ),
            Self::SsoEnded { .. } => "run `aws sso login` as the agent's user".to_owned(),
            Self::NoEndpoint { .. } => {
                "unset the AWS_ENDPOINT_URL_* variables, which FIPS and dual-stack hosts cannot be combined with, or declare the plain host".to_owned()
            }
        }
    }
}
