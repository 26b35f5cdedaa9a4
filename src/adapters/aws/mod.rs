//! Exchanges an AWS identity for a token of ECR or `CodeArtifact`.
//!
//! An exchange has three steps, each with a time limit and at most one call to AWS: load the
//! identity, assume the role if one is declared, request the token. The SDK's own retries are off,
//! because the refresh schedule retries. One call is repeated if the `Date` of AWS shows that it
//! was signed with a wrong time.

pub mod exchange_process;
mod failure;
mod identity;
mod recording_http_client;

use std::sync::Arc;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecr::config::Credentials;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::{SignedDuration, Timestamp};

use self::failure::ApiCall;
use self::recording_http_client::{RecordingHttpClient, SdkTime};
use super::clock::Clock;
use super::http::Http;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::ecr_token;
use crate::domain::credentials::exchange::{ExchangeKey, TokenService, shortened};
use crate::domain::credentials::lifetime::{Lifetime, ReportedLifetime, SKEW_TO_REMARK};
use crate::domain::credentials::refresh_schedule::RetryClass;
use crate::domain::credentials::secret::Secret;
use crate::domain::credentials::stated_expiry;
use crate::domain::reasons::AwsReason;
use crate::domain::registry_protocol::verdict::Outcome;

/// The result of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The credential for the registry, with issue and expiry by the local clock.
    pub credential: Credential,
    /// A remark for the user on an exchange that succeeded.
    pub remark: Option<AwsReason>,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeFailure {
    /// What happened.
    pub reason: AwsReason,
    /// The resulting state of the logins that wait for the token.
    pub outcome: Outcome,
    /// How to retry (`refresh_schedule::retry_at`); `None` if a retry is pointless before the
    /// declaration changes.
    pub retry: Option<RetryClass>,
    /// How long AWS asked clients to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
}

/// The user of a `CodeArtifact` token, for the clients that send it as a password.
const CODE_ARTIFACT_USER: &str = "aws";
/// The longest life of a `CodeArtifact` token.
const CODE_ARTIFACT_SECONDS: i64 = 12 * 3600;
/// The time limit for each step.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// From this clock difference on, AWS rejects signatures (its documentation says five minutes; the
/// SDK uses four).
const SKEW_THAT_MATTERS: SignedDuration = SignedDuration::from_mins(4);

/// Requests a token from AWS. Sends nothing if the keys cannot work.
///
/// Requests to the metadata services of the machine bypass proxies, because no proxy can reach
/// them. The SDK reads endpoint variables, shared files and the default chain from the environment
/// of its process, so the agent calls this in a child process: see [`exchange_process`].
pub async fn exchange(
    http: &Arc<Http>,
    key: &ExchangeKey,
    clock: &Clock,
) -> Result<Token, ExchangeFailure> {
    let http_client =
        RecordingHttpClient::new(Arc::clone(http), clock.clone()).map_err(|fault| {
            ExchangeFailure::transient(AwsReason::Unreachable { host: "AWS".to_owned(), fault })
        })?;
    let credentials = identity::load(key, &http_client).await?;
    let config = sdk_config(key, &http_client, Some(credentials.clone())).await;
    let asked = ApiCall {
        action: key.service.action(),
        region: key.service.region(),
        key: shortened(credentials.access_key_id()),
        role: None,
        domain: key.service.domain(),
    };
    let (token, expires_at) = match &key.service {
        TokenService::Private { .. } => private_token(&config, &http_client, &asked).await?,
        TokenService::Public => public_token(&config, &http_client, &asked).await?,
        TokenService::CodeArtifact { domain, owner, .. } => {
            codeartifact_token(&config, &http_client, &asked, domain, owner).await?
        }
    };
    let seen = http_client.seen();
    let is_ecr = key.service.domain().is_none();
    let login = token.filter(|token| !token.is_empty()).and_then(|token| {
        if is_ecr {
            ecr_token::user_and_password(&token)
        } else {
            Some((CODE_ARTIFACT_USER.to_owned(), Secret::new(token)))
        }
    });
    let (user, secret) = login.ok_or_else(|| {
        ExchangeFailure::transient(AwsReason::BadAnswer { host: seen.host.clone() })
    })?;
    let report = ReportedLifetime {
        expires_at: expires_at.as_ref().and_then(timestamp),
        stated_end: stated_expiry::end_of(&secret),
        // A token of CodeArtifact with a duration of its own outlives the session that created it.
        source_end: credentials
            .expiry()
            .filter(|_| is_ecr)
            .and_then(|end| Timestamp::try_from(end).ok()),
    };
    let life = Lifetime::from_report(report, seen.trip);
    let credential =
        Credential { user, secret, issued_at: Some(life.issued_at), expires_at: life.expires_at };
    let off = seen.trip.clock_skew();
    let remark =
        (off.abs() > SKEW_TO_REMARK).then(|| AwsReason::ClockOff { seconds: off.as_secs() });
    Ok(Token { credential, remark })
}

type TokenReply = (Option<String>, Option<DateTime>);

async fn private_token(
    config: &SdkConfig,
    http_client: &RecordingHttpClient,
    asked: &ApiCall<'_>,
) -> Result<TokenReply, ExchangeFailure> {
    let ecr = aws_sdk_ecr::Client::new(config);
    let answer =
        ask(http_client, asked, async || ecr.get_authorization_token().send().await).await?;
    let data = answer.authorization_data().first();
    Ok((
        data.and_then(|data| data.authorization_token()).map(str::to_owned),
        data.and_then(|data| data.expires_at()).copied(),
    ))
}

async fn public_token(
    config: &SdkConfig,
    http_client: &RecordingHttpClient,
    asked: &ApiCall<'_>,
) -> Result<TokenReply, ExchangeFailure> {
    let ecr = aws_sdk_ecrpublic::Client::new(config);
    let answer =
        ask(http_client, asked, async || ecr.get_authorization_token().send().await).await?;
    let data = answer.authorization_data();
    Ok((
        data.and_then(|data| data.authorization_token()).map(str::to_owned),
        data.and_then(|data| data.expires_at()).copied(),
    ))
}

async fn codeartifact_token(
    config: &SdkConfig,
    http_client: &RecordingHttpClient,
    asked: &ApiCall<'_>,
    domain: &str,
    owner: &str,
) -> Result<TokenReply, ExchangeFailure> {
    let codeartifact = aws_sdk_codeartifact::Client::new(config);
    let answer = ask(http_client, asked, async || {
        codeartifact
            .get_authorization_token()
            .domain(domain)
            .domain_owner(owner)
            .duration_seconds(CODE_ARTIFACT_SECONDS)
            .send()
            .await
    })
    .await?;
    Ok((answer.authorization_token().map(str::to_owned), answer.expiration().copied()))
}

/// Makes one call, or two if AWS rejected the time in the first signature: the SDK's client has
/// learned the difference by then.
async fn ask<T, E: ProvideErrorMetadata + std::error::Error + 'static>(
    http_client: &RecordingHttpClient,
    asked: &ApiCall<'_>,
    send: impl AsyncFn() -> Result<T, SdkError<E, HttpResponse>>,
) -> Result<T, ExchangeFailure> {
    let mut again = true;
    loop {
        let error = match tokio::time::timeout(STEP_LIMIT, send()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(_) => return Err(ExchangeFailure::timed_out(http_client.seen().host, STEP_LIMIT)),
        };
        let seen = http_client.seen();
        let refused = matches!(error, SdkError::ServiceError(_));
        if !(again && refused && seen.trip.clock_skew().abs() > SKEW_THAT_MATTERS) {
            return Err(failure::of_call(&error, asked, &seen));
        }
        again = false;
    }
}

/// The SDK's settings for one step, from the environment and the key.
async fn sdk_config(
    key: &ExchangeKey,
    http_client: &RecordingHttpClient,
    credentials: Option<Credentials>,
) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client.clone())
        .time_source(SdkTime(http_client.clock().clone()))
        .region(Region::new(key.service.region().to_owned()))
        .retry_config(RetryConfig::disabled())
        .identity_cache(IdentityCache::no_cache())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    loader = match credentials {
        Some(credentials) => loader.credentials_provider(credentials),
        None => loader.no_credentials(),
    };
    if let Some(profile) = &key.identity.profile {
        loader = loader.profile_name(profile);
    }
    // A plain host leaves both settings to AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT.
    if let TokenService::Private { fips, dual_stack, .. } = key.service {
        if fips {
            loader = loader.use_fips(true);
        }
        if dual_stack {
            loader = loader.use_dual_stack(true);
        }
    }
    loader.load().await
}

fn timestamp(instant: &DateTime) -> Option<Timestamp> {
    Timestamp::new(instant.secs(), instant.subsec_nanos().try_into().ok()?).ok()
}
