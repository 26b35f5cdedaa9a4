//! Loads the identity that requests a token, and assumes the declared role.

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_ecr::config::{Credentials, ProvideCredentials};
use std::time::{Duration, SystemTime};

use super::failure::{self, ApiCall};
use super::recording_http_client::{RecordingHttpClient, SdkTime};
use super::{ExchangeFailure, STEP_LIMIT, ask, sdk_config};
use crate::domain::credentials::exchange::{ExchangeKey, shortened};
use crate::domain::declarations::declaration::AwsKeys;
use crate::domain::reasons::AwsReason;

/// The session name that the role's account sees in its audit trail.
const ROLE_SESSION_NAME: &str = "registry-agent";
/// A machine without a metadata service may silently drop packets to it.
const METADATA_LIMIT: Duration = Duration::from_secs(1);

/// The credentials to sign with. Their expiry is that of the identity.
pub(super) async fn load(
    key: &ExchangeKey,
    http_client: &RecordingHttpClient,
) -> Result<Credentials, ExchangeFailure> {
    let source = match &key.identity.keys {
        Some(keys) => declared(keys)?,
        None => found(key, http_client).await?,
    };
    match &key.identity.role_arn {
        Some(role) => assume(role, source, key, http_client).await,
        None => Ok(source),
    }
}

fn declared(keys: &AwsKeys) -> Result<Credentials, ExchangeFailure> {
    if keys.lack_session_token() {
        return Err(session_token_missing(&keys.access_key_id));
    }
    let token = keys.session_token.as_ref().map(|token| token.reveal().to_owned());
    let (id, secret) = (keys.access_key_id.as_str(), keys.secret_access_key.reveal());
    Ok(Credentials::new(id, secret, token, None, "declared"))
}

/// Looks up the identity in the declared profile, or in the default chain.
async fn found(
    key: &ExchangeKey,
    http_client: &RecordingHttpClient,
) -> Result<Credentials, ExchangeFailure> {
    let http_client = http_client.with_direct_way();
    let settings = ProviderConfig::without_region()
        .with_http_client(http_client.clone())
        .with_time_source(SdkTime(http_client.clock().clone()))
        .with_retry_config(RetryConfig::disabled())
        .with_region(Some(Region::new(key.service.region().to_owned())));
    let look = async {
        match &key.identity.profile {
            Some(profile) => {
                let provider = ProfileFileCredentialsProvider::builder()
                    .configure(&settings)
                    .profile_name(profile)
                    .build();
                provider.provide_credentials().await
            }
            None => default_chain(&settings).await.provide_credentials().await,
        }
    };
    let credentials = match tokio::time::timeout(STEP_LIMIT, look).await {
        Ok(Ok(credentials)) => credentials,
        Ok(Err(error)) => return Err(failure::of_lookup(&error, &http_client.seen(), key)),
        Err(_) => {
            let place = match &key.identity.profile {
                Some(profile) => format!("the AWS profile {profile}"),
                None => "the AWS default chain".to_owned(),
            };
            return Err(ExchangeFailure::timed_out(place, STEP_LIMIT));
        }
    };
    let id = credentials.access_key_id();
    if id.starts_with("ASIA") && credentials.session_token().is_none_or(str::is_empty) {
        return Err(session_token_missing(id));
    }
    Ok(credentials)
}

async fn default_chain(settings: &ProviderConfig) -> DefaultCredentialsChain {
    let metadata = imds::Client::builder()
        .configure(settings)
        .max_attempts(1)
        .connect_timeout(METADATA_LIMIT)
        .read_timeout(METADATA_LIMIT)
        .build();
    DefaultCredentialsChain::builder()
        .configure(settings.clone())
        .imds_client(metadata)
        .build()
        .await
}

async fn assume(
    role: &str,
    source: Credentials,
    key: &ExchangeKey,
    http_client: &RecordingHttpClient,
) -> Result<Credentials, ExchangeFailure> {
    let asked = ApiCall {
        action: "sts:AssumeRole",
        region: key.service.region(),
        key: shortened(source.access_key_id()),
        role: Some(role),
        domain: None,
    };
    let source_end = source.expiry();
    let sts = aws_sdk_sts::Client::new(&sdk_config(key, http_client, Some(source)).await);
    let answer = ask(http_client, &asked, async || {
        sts.assume_role().role_arn(role).role_session_name(ROLE_SESSION_NAME).send().await
    })
    .await?;
    let session = answer.credentials().ok_or_else(|| {
        ExchangeFailure::transient(AwsReason::BadAnswer { host: http_client.seen().host })
    })?;
    let end = SystemTime::try_from(*session.expiration()).ok();
    Ok(Credentials::new(
        session.access_key_id(),
        session.secret_access_key(),
        Some(session.session_token().to_owned()),
        // A role's session outlives the session that assumed it, unless that is revoked.
        [end, source_end].into_iter().flatten().min(),
        "role",
    ))
}

fn session_token_missing(access_key_id: &str) -> ExchangeFailure {
    ExchangeFailure::permanent(AwsReason::SessionTokenMissing { key: shortened(access_key_id) })
}
