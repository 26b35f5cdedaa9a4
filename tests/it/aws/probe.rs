//! Runs an exchange in a separate process, because the SDK reads the environment of its process.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use registry_agent::adapters::aws::exchange;
use registry_agent::adapters::clock::Clock;
use registry_agent::adapters::http::Http;
use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::credentials::exchange::ExchangeKey;
use registry_agent::domain::credentials::refresh_schedule::RetryClass;
use registry_agent::domain::declarations::declaration::{AwsIdentity, AwsKeys};
use registry_agent::domain::declarations::source::Variables;
use registry_agent::domain::reasons::Reason;
use registry_agent::domain::servers::server::Server;
use serde::{Deserialize, Serialize};

use crate::support::aws::FakeAws;

/// The exchange to run, and its environment.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Probe {
    pub(super) server: String,
    pub(super) keys: Option<(String, String, Option<String>)>,
    pub(super) role: Option<String>,
    pub(super) profile: Option<String>,
    /// How far the local clock is ahead of the machine's, in seconds.
    pub(super) clock_ahead: i64,
    pub(super) variables: Vec<(String, String)>,
}

/// The result of the exchange.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    Token {
        user: String,
        password: String,
        /// Seconds from issue to expiry.
        life: Option<i64>,
        remark: Option<String>,
    },
    ExchangeFailure {
        code: String,
        sentence: String,
        fix: String,
        outcome: String,
        retry: Option<String>,
        retry_after: Option<u64>,
    },
}

pub(super) const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(super) const PRIVATE: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
const VARIABLE: &str = "REGISTRY_AGENT_TEST_PROBE";

impl Probe {
    /// An exchange for `server` with a key that `stand_in` accepts.
    pub(super) fn of(server: &str, stand_in: &FakeAws) -> Self {
        stand_in.add_key(KEY, SECRET, None);
        Self {
            server: server.to_owned(),
            keys: Some((KEY.to_owned(), SECRET.to_owned(), None)),
            role: None,
            profile: None,
            clock_ahead: 0,
            variables: stand_in.variables(),
        }
    }

    pub(super) fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(present, _)| present != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs the exchange, and checks that its output contains no secret.
    pub(super) fn run(&self) -> Outcome {
        let home = tempfile::tempdir().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "aws::probe::inner_exchange", "--ignored", "--nocapture"])
            .env_clear()
            .env("HOME", home.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.variables.iter().cloned())
            .env(VARIABLE, serde_json::to_string(self).unwrap())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let line =
            stdout.lines().find_map(|line| line.split_once("outcome: ")).unwrap_or_else(|| {
                panic!("no outcome in {stdout}\n{}", String::from_utf8_lossy(&output.stderr))
            });
        let outcome = serde_json::from_str(line.1).unwrap();
        if let (Outcome::ExchangeFailure { sentence, fix, .. }, Some((id, secret, _))) =
            (&outcome, &self.keys)
        {
            for text in [sentence, fix] {
                assert!(!text.contains(secret.as_str()), "a secret is in {text:?}");
                assert!(!text.contains(id.as_str()), "a whole access key is in {text:?}");
            }
        }
        outcome
    }

    /// Runs the exchange, which must fail, and returns the code, the sentence and further details.
    pub(super) fn refusal(&self) -> (String, String, String, Option<u64>) {
        match self.run() {
            Outcome::ExchangeFailure { code, sentence, fix, outcome, retry, retry_after } => {
                assert!(!fix.is_empty());
                let retry = retry.unwrap_or("none".to_owned());
                (code, sentence, format!("{outcome} {retry}"), retry_after)
            }
            token @ Outcome::Token { .. } => panic!("{token:?}"),
        }
    }
}

#[tokio::test]
#[ignore = "a part of other tests, which run it in a process of its own"]
#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn inner_exchange() {
    let Ok(probe) = std::env::var(VARIABLE) else { return };
    let probe: Probe = serde_json::from_str(&probe).unwrap();
    let (server, _) = Server::parse(&probe.server).unwrap();
    let identity = AwsIdentity {
        keys: probe.keys.map(|(access_key_id, secret, token)| AwsKeys {
            access_key_id,
            secret_access_key: secret.into(),
            session_token: token.map(Into::into),
        }),
        role_arn: probe.role,
        profile: probe.profile,
    };
    let key = ExchangeKey::of(&server.into(), &identity, &Variables::new()).unwrap();
    let now = Clock::system().now() + SignedDuration::from_secs(probe.clock_ahead);
    let (clock, _hands) = Clock::manual(now);
    let environment = probe.variables.into_iter().map(|(name, value)| (name, value.into()));
    let http = Arc::new(Http::with_environment(&environment.collect()));
    let outcome = match exchange(&http, &key, &clock).await {
        Ok(token) => Outcome::Token {
            life: life(&token.credential),
            user: token.credential.user,
            password: token.credential.secret.reveal().to_owned(),
            remark: token.remark.map(|remark| remark.to_string()),
        },
        Err(refusal) => Outcome::ExchangeFailure {
            code: refusal.reason.code().to_owned(),
            sentence: refusal.reason.to_string(),
            fix: Reason::from(refusal.reason).fix(),
            outcome: format!("{:?}", refusal.outcome),
            retry: refusal.retry.map(|retry: RetryClass| format!("{retry:?}")),
            retry_after: refusal.retry_after.as_ref().map(Duration::as_secs),
        },
    };
    println!("outcome: {}", serde_json::to_string(&outcome).unwrap());
}

fn life(credential: &Credential) -> Option<i64> {
    let issued_at: Timestamp = credential.issued_at.unwrap();
    credential.expires_at.map(|end| end.duration_since(issued_at).as_secs())
}
