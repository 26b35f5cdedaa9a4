//! Maps errors of AWS and its SDK to reasons.

use std::error::Error;
use std::time::Duration;

use aws_config::imds::client::error::ImdsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::ExchangeFailure;
use super::recording_http_client::{LastResponse, TransportFault};
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::credentials::refresh_schedule::RetryClass;
use crate::domain::reasons::AwsReason;
use crate::domain::reasons::connection::ConnectionFault;
use crate::domain::registry_protocol::verdict::Outcome;

/// A call to AWS, as far as reasons need it.
pub(super) struct ApiCall<'a> {
    /// The IAM action.
    pub(super) action: &'static str,
    pub(super) region: &'a str,
    /// The access key ID that signed the call, shortened.
    pub(super) key: String,
    /// The role to be assumed.
    pub(super) role: Option<&'a str>,
    /// The `CodeArtifact` domain and its owner.
    pub(super) domain: Option<(&'a str, &'a str)>,
}

/// The reason for a failed call.
pub(super) fn of_call<E: ProvideErrorMetadata + Error + 'static>(
    error: &SdkError<E, HttpResponse>,
    asked: &ApiCall<'_>,
    seen: &LastResponse,
) -> ExchangeFailure {
    let host = seen.host.clone();
    let status = error.raw_response().map(|raw| raw.status().as_u16());
    let refusal = match (error, status) {
        (SdkError::ServiceError(service), Some(status)) => {
            of_answer(service.err(), status, asked, seen)
        }
        (_, Some(429)) => ExchangeFailure::throttled(host),
        (_, Some(status @ 500..)) => {
            ExchangeFailure::transient(AwsReason::ServiceFault { host, status })
        }
        (_, Some(_)) => ExchangeFailure::transient(AwsReason::BadAnswer { host }),
        (_, None) => match find::<TransportFault>(error) {
            Some(fault) => of_fault(fault, host),
            None => ExchangeFailure::invalid(AwsReason::NoEndpoint {
                action: asked.action.to_owned(),
                region: asked.region.to_owned(),
            }),
        },
    };
    ExchangeFailure { retry_after: seen.retry_after, ..refusal }
}

/// The reason why the declared profile or the default chain provides no identity.
pub(super) fn of_lookup(
    error: &(dyn Error + 'static),
    seen: &LastResponse,
    key: &ExchangeKey,
) -> ExchangeFailure {
    let asked = |action| ApiCall {
        action,
        region: key.service.region(),
        key: "…".to_owned(),
        role: Some(key.identity.profile.as_deref().unwrap_or("the role of the default chain")),
        domain: None,
    };
    if let Some(error) = find::<SdkError<AssumeRoleError, HttpResponse>>(error) {
        return of_call(error, &asked("sts:AssumeRole"), seen);
    }
    if let Some(error) = find::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>(error) {
        return of_call(error, &asked("sts:AssumeRoleWithWebIdentity"), seen);
    }
    if let Some(fault) =
        find::<TransportFault>(error).filter(|_| find::<ImdsError>(error).is_none())
    {
        return of_fault(fault, seen.host.clone());
    }
    let profile = key.identity.profile.as_ref();
    let place = profile.map_or("the default chain".to_owned(), |name| format!("profile {name}"));
    let reason = match profile {
        // The metadata service belongs to another cloud, or the instance has no role.
        None if find::<ImdsError>(error).is_some() => AwsReason::NoIdentity,
        None if is_not_loaded(error) => AwsReason::NoIdentity,
        // The SDK distinguishes these cases only in its message text.
        Some(profile) if is_not_loaded(error) => {
            AwsReason::ProfileMissing { profile: profile.clone() }
        }
        _ if mentions(error, "sso") => AwsReason::SsoEnded { place },
        _ if mentions(error, "cached login token") || mentions(error, "login/cache") => {
            AwsReason::LoginEnded { place }
        }
        _ => AwsReason::IdentityBroken { place },
    };
    ExchangeFailure::invalid(reason)
}

fn of_answer(
    error: &impl ProvideErrorMetadata,
    status: u16,
    asked: &ApiCall<'_>,
    seen: &LastResponse,
) -> ExchangeFailure {
    let (key, host) = (asked.key.clone(), seen.host.clone());
    let (region, action) = (asked.region.to_owned(), asked.action.to_owned());
    let message = error.message().unwrap_or_default();
    let clock_refused = || AwsReason::ClockRefused {
        action: action.clone(),
        seconds: seen.trip.clock_skew().as_secs(),
    };
    // The error codes of the JSON services (ECR) and the query services (STS) differ by a suffix.
    let code = error.code().unwrap_or_default();
    let reason = match code.strip_suffix("Exception").unwrap_or(code) {
        "Throttling"
        | "ThrottledException"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "LimitExceeded"
        | "SlowDown" => return ExchangeFailure::throttled(host),
        "UnrecognizedClient" | "InvalidClientTokenId" | "InvalidAccessKeyId" => {
            AwsReason::UnknownAccessKey { key, opt_in: is_opt_in(&region), region }
        }
        "InvalidSignature" | "SignatureDoesNotMatch" if tells_of_time(message) => clock_refused(),
        "RequestTimeTooSkewed" | "RequestExpired" => clock_refused(),
        "InvalidSignature" | "SignatureDoesNotMatch" => AwsReason::WrongSecret { key },
        "ExpiredToken" | "TokenRefreshRequired" => AwsReason::SessionExpired { key },
        "ResourceNotFound" if let Some((domain, owner)) = asked.domain => {
            let (domain, owner) = (domain.to_owned(), owner.to_owned());
            AwsReason::DomainMissing { domain, owner, region }
        }
        "OptInRequired" | "RegionDisabled" => AwsReason::RegionNotEnabled { region },
        "AccessDenied" | "UnauthorizedOperation" => {
            let who = after(message, "User: ").map_or(key, str::to_owned);
            match asked.role {
                Some(role) => AwsReason::RoleRefused { who, role: role.to_owned() },
                None => AwsReason::AccessDenied {
                    who,
                    action: after(message, "perform: ").map_or(action, str::to_owned),
                    explicit: message.contains("explicit deny"),
                },
            }
        }
        _ if status == 429 => return ExchangeFailure::throttled(host),
        _ if status >= 500 => {
            return ExchangeFailure::transient(AwsReason::ServiceFault { host, status });
        }
        "" => return ExchangeFailure::transient(AwsReason::BadAnswer { host }),
        _ => AwsReason::Refused {
            action,
            code: code.chars().filter(char::is_ascii_graphic).take(80).collect(),
        },
    };
    ExchangeFailure::rejected(reason)
}

fn of_fault(TransportFault(fault): &TransportFault, host: String) -> ExchangeFailure {
    let fault = fault.clone();
    match fault {
        ConnectionFault::TimedOut => ExchangeFailure::timed_out(host, super::STEP_LIMIT),
        ConnectionFault::ProxyLogin { .. }
        | ConnectionFault::ProxyLoginRefused { .. }
        | ConnectionFault::ProxyRefused { .. }
        | ConnectionFault::ProxyUnreachable { .. } => {
            ExchangeFailure::transient(AwsReason::ProxyRefused { host, fault })
        }
        _ => ExchangeFailure::transient(AwsReason::Unreachable { host, fault }),
    }
}

impl ExchangeFailure {
    /// A failure that may be temporary.
    pub(super) fn transient(reason: AwsReason) -> Self {
        Self::new(reason, Outcome::Unreachable, Some(RetryClass::Transient))
    }

    pub(super) fn timed_out(host: String, limit: Duration) -> Self {
        Self::transient(AwsReason::TimedOut { host, seconds: limit.as_secs() })
    }

    fn throttled(host: String) -> Self {
        Self::new(AwsReason::Throttled { host }, Outcome::RateLimited, Some(RetryClass::Transient))
    }

    fn rejected(reason: AwsReason) -> Self {
        Self::new(reason, Outcome::Rejected, Some(RetryClass::AwsRefused))
    }

    /// There is no identity, or it cannot work. A file or a metadata service may change that
    /// without notifying the agent, so it is retried as rarely as a rejected identity.
    fn invalid(reason: AwsReason) -> Self {
        Self::new(reason, Outcome::Invalid, Some(RetryClass::AwsRefused))
    }

    /// A failure that only a changed declaration can fix.
    pub(super) fn permanent(reason: AwsReason) -> Self {
        Self::new(reason, Outcome::Invalid, None)
    }

    fn new(reason: AwsReason, outcome: Outcome, retry: Option<RetryClass>) -> Self {
        Self { reason, outcome, retry, retry_after: None }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// Only used to choose a reason: the error text itself is not shown.
fn mentions(error: &(dyn Error + 'static), word: &str) -> bool {
    chain(error).any(|error| error.to_string().to_ascii_lowercase().contains(word))
}

fn is_not_loaded(error: &(dyn Error + 'static)) -> bool {
    mentions(error, "the credential provider was not enabled")
}

/// Recognizes messages such as "Signature expired: 20261124T042115Z is now earlier than …".
fn tells_of_time(message: &str) -> bool {
    message.contains("Signature expired") || message.contains("Signature not yet current")
}

/// The word after `mark`, if it looks like an ARN or an action.
fn after<'a>(message: &'a str, mark: &str) -> Option<&'a str> {
    let word = message.split_once(mark)?.1.split_whitespace().next()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || ":/-_.@+=,*".contains(c);
    (word.contains(':') && word.len() <= 300 && word.chars().all(fits)).then_some(word)
}

/// Whether an account must enable `region` before use. That applies to all regions of the partition
/// `aws` opened after March 2019. The older ones are a fixed list (AWS Account Management Reference
/// Guide).
fn is_opt_in(region: &str) -> bool {
    const ALWAYS_ENABLED: [&str; 17] = [
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    ];
    const OTHER_PARTITIONS: [&str; 5] = ["cn-", "us-gov-", "us-iso", "eu-isoe-", "eusc-"];
    !ALWAYS_ENABLED.contains(&region)
        && !OTHER_PARTITIONS.iter().any(|partition| region.starts_with(partition))
}
