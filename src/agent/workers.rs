//! The questions that take time: to AWS for a token, to a registry for a verdict.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::adapters::aws::{self, ExchangeFailure, Token};
use crate::adapters::clock::Clock;
use crate::adapters::config::ServerConfig;
use crate::adapters::http::Http;
use crate::adapters::registry::{self, VerificationRequest};
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::credentials::refresh_schedule::RetryClass;
use crate::domain::reasons::AwsReason;
use crate::domain::registry_protocol::verdict::{Outcome, Verdict};
use crate::domain::servers::server::Server;

/// At most so many logins are worked on at a time.
const MAX_CONCURRENT: usize = 64;

/// What came of a question.
pub enum WorkResult {
    /// AWS has answered.
    Exchanged(ExchangeKey, Result<Token, ExchangeFailure>),
    /// The registry has answered about this generation of a login.
    Verified(String, u64, Verdict),
}

/// A verification to be made.
pub struct Verification {
    /// The registry.
    pub server: Server,
    /// What it is shown.
    pub credential: Credential,
    /// The certificates that were declared for it.
    pub ca_file: Option<PathBuf>,
    /// Which state of the login this is about.
    pub generation: u64,
}

/// Asks, several at a time.
pub struct WorkerPool {
    http: Arc<Http>,
    clock: Clock,
    servers: BTreeMap<String, ServerConfig>,
    slots: Arc<Semaphore>,
    tasks: JoinSet<WorkResult>,
}

impl WorkerPool {
    /// A pool with nothing to do yet. `servers` is what the configuration says of them.
    pub fn new(http: Http, clock: Clock, servers: BTreeMap<String, ServerConfig>) -> Self {
        Self {
            http: Arc::new(http),
            clock,
            servers,
            slots: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            tasks: JoinSet::new(),
        }
    }

    /// Asks AWS for a token.
    pub fn exchange(&mut self, key: ExchangeKey) {
        let (http, clock, slots) = (self.http.clone(), self.clock.clone(), self.slots.clone());
        self.tasks.spawn_local(async move {
            let _slot = slots.acquire().await;
            let result = match http.aws_client() {
                Ok(client) => aws::exchange(&client, &key, &clock).await,
                Err(fault) => Err(no_client(&fault.sentence("AWS"))),
            };
            WorkResult::Exchanged(key, result)
        });
    }

    /// Asks a registry what it thinks of a credential.
    pub fn verify(&mut self, verification: Verification) {
        let (http, slots) = (self.http.clone(), self.slots.clone());
        let realms = self.realms(&verification.server);
        self.tasks.spawn_local(async move {
            let _slot = slots.acquire().await;
            let question = VerificationRequest {
                server: &verification.server,
                credential: &verification.credential,
                ca_file: verification.ca_file.as_deref(),
                realms: &realms,
            };
            let verdict = registry::verify(&http, &question).await;
            WorkResult::Verified(
                verification.server.name().to_owned(),
                verification.generation,
                verdict,
            )
        });
    }

    /// The next result; `None` while nothing is under way.
    pub async fn next(&mut self) -> Option<WorkResult> {
        while let Some(finished) = self.tasks.join_next().await {
            match finished {
                Ok(done) => return Some(done),
                Err(error) => tracing::error!("a question was not answered: {error}"),
            }
        }
        None
    }

    /// A result that is there already.
    pub fn try_next(&mut self) -> Option<WorkResult> {
        self.tasks.try_join_next()?.ok()
    }

    fn realms(&self, server: &Server) -> Vec<String> {
        self.servers
            .iter()
            .filter(|(name, _)| server.answers_to(name))
            .flat_map(|(_, config)| config.realms.iter().cloned())
            .collect()
    }
}

/// There is no way to speak TLS at all, for want of any certificate to trust, say.
fn no_client(why: &str) -> ExchangeFailure {
    ExchangeFailure {
        reason: AwsReason::Unreachable { host: "AWS".to_owned(), why: why.to_owned() },
        outcome: Outcome::Unreachable,
        cause: Some(RetryClass::Passing),
        retry_after: None,
    }
}
