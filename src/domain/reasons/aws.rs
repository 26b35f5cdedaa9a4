//! Why an AWS identity cannot be exchanged for a token of ECR or `CodeArtifact`.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::connection::ConnectionFault;
use super::step::Step;
use super::{Severity, duration};

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
}
