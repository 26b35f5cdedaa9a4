//! Runs an exchange in a child process.
//!
//! The AWS SDK reads its settings from the environment of its process. A short-lived child gets the
//! merged environment as its own, so a changed variable takes effect at the next exchange without a
//! restart of the agent. The SDK's copies of secrets disappear with the child.

use std::io::{Read as _, Write as _, stdin, stdout};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{ExchangeFailure, Token, exchange};
use crate::adapters::clock::Clock;
use crate::adapters::http::Http;
use crate::adapters::process::THIS_PROGRAM;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::credentials::secret_json::to_json;
use crate::domain::declarations::declaration::{AwsIdentity, AwsKeys};
use crate::domain::declarations::source::Variables;
use crate::domain::declarations::variable;
use crate::domain::reasons::AwsReason;
use crate::wire::exchange::{ExchangeKeys, ExchangeReply, ExchangeRequest};
use crate::wire::exposed_secret::ExposedSecret;

/// The hidden command of this program that runs one exchange.
const COMMAND: &str = "exchange";

/// Covers the three steps of an exchange, each with its own limit, and the start of the process.
const TIMEOUT: Duration = Duration::from_secs(35);

/// Exchanges `key` in a child with `environment`. Dropping the future kills the child.
pub async fn exchange_in_child(
    key: &ExchangeKey,
    environment: &Variables,
) -> Result<Token, ExchangeFailure> {
    let output = match tokio::time::timeout(TIMEOUT, run(key, environment)).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(process_failed(error.to_string())),
        Err(_) => return Err(process_failed(format!("no reply within {} s", TIMEOUT.as_secs()))),
    };
    let reply = Zeroizing::new(output.stdout);
    match serde_json::from_slice(&reply) {
        Ok(reply) => result(reply),
        Err(_) => Err(process_failed(format!("it ended without a reply ({})", output.status))),
    }
}

async fn run(key: &ExchangeKey, environment: &Variables) -> std::io::Result<Output> {
    let mut child = Command::new(THIS_PROGRAM)
        .arg0("registry-agent")
        .arg(COMMAND)
        // The child must not report service readiness.
        .env_remove("NOTIFY_SOCKET")
        .envs(environment.iter().map(|(name, value)| (name, value.reveal())))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let request = to_json(&request(key))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&request).await?;
    }
    child.wait_with_output().await
}

/// Runs in the child: reads a request from standard input and writes the response to standard
/// output.
pub fn answer_request() -> anyhow::Result<()> {
    let mut request = Zeroizing::new(Vec::new());
    stdin().read_to_end(&mut request)?;
    let key = key(serde_json::from_slice(&request)?);
    drop(request);
    let http = Arc::new(Http::with_environment(&environment()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(exchange(&http, &key, &Clock::system()));
    let reply = to_json(&reply(outcome))?;
    stdout().write_all(&reply)?;
    Ok(())
}

/// The proxy and certificate variables that the agent passed to this process.
fn environment() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| variable::is_tool_variable(name))
        .map(|(name, value)| (name, value.into()))
        .collect()
}

/// The failure of an exchange whose process could not do it.
pub fn process_failed(error: String) -> ExchangeFailure {
    ExchangeFailure::transient(AwsReason::ProcessFailed { error })
}

fn request(key: &ExchangeKey) -> ExchangeRequest {
    let keys = key.identity.keys.as_ref().map(|keys| ExchangeKeys {
        access_key_id: keys.access_key_id.clone(),
        secret_access_key: ExposedSecret(keys.secret_access_key.clone()),
        session_token: keys.session_token.clone().map(ExposedSecret),
    });
    ExchangeRequest {
        service: key.service.clone(),
        keys,
        role_arn: key.identity.role_arn.clone(),
        profile: key.identity.profile.clone(),
    }
}

fn key(request: ExchangeRequest) -> ExchangeKey {
    let ExchangeRequest { service, keys, role_arn, profile } = request;
    let keys = keys.map(|keys| AwsKeys {
        access_key_id: keys.access_key_id,
        secret_access_key: keys.secret_access_key.0,
        session_token: keys.session_token.map(|token| token.0),
    });
    let identity = AwsIdentity { keys, role_arn, profile };
    ExchangeKey { service, identity, environment: Variables::new() }
}

fn reply(outcome: Result<Token, ExchangeFailure>) -> ExchangeReply {
    match outcome {
        Ok(Token { credential, remark }) => ExchangeReply::Token {
            user: credential.user,
            secret: ExposedSecret(credential.secret),
            issued_at: credential.issued_at,
            expires_at: credential.expires_at,
            remark,
        },
        Err(ExchangeFailure { reason, outcome, retry, retry_after }) => {
            ExchangeReply::Failure { reason, outcome, retry, retry_after }
        }
    }
}

fn result(reply: ExchangeReply) -> Result<Token, ExchangeFailure> {
    match reply {
        ExchangeReply::Token { user, secret, issued_at, expires_at, remark } => {
            let credential = Credential { user, secret: secret.0, issued_at, expires_at };
            Ok(Token { credential, remark })
        }
        ExchangeReply::Failure { reason, outcome, retry, retry_after } => {
            Err(ExchangeFailure { reason, outcome, retry, retry_after })
        }
    }
}
