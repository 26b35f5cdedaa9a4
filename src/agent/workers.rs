//! The questions that take time: to AWS for a token, to a registry for a verdict.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::adapters::aws::exchange_process::exchange_in_child;
use crate::adapters::aws::{ExchangeFailure, Token};
use crate::adapters::config::ServerConfig;
use crate::adapters::http::Http;
use crate::adapters::registry::{self, VerificationRequest};
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::declarations::source::Variables;
use crate::domain::registry_protocol::verdict::Verdict;
use crate::domain::servers::server::Server;

/// At most so many logins are worked on at a time.
const MAX_CONCURRENT: usize = 64;

/// What came of a question.
pub enum WorkResult {
    /// AWS has answered.
    Exchanged(Box<ExchangeKey>, Result<Token, ExchangeFailure>),
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
    environment: Arc<Variables>,
    servers: BTreeMap<String, ServerConfig>,
    slots: Arc<Semaphore>,
    tasks: JoinSet<WorkResult>,
}

impl WorkerPool {
    /// A pool with nothing to do yet. `servers` is what the configuration says of them.
    pub fn new(servers: BTreeMap<String, ServerConfig>) -> Self {
        Self {
            http: Arc::default(),
            environment: Arc::default(),
            servers,
            slots: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            tasks: JoinSet::new(),
        }
    }

    /// Asks with these AWS settings, proxies and certificates from here on; whether they are others
    /// than before. What is under way ends as it began.
    pub fn use_environment(&mut self, environment: &Variables) -> bool {
        let differs = *self.environment != *environment;
        if differs {
            self.http = Arc::new(Http::with_environment(environment));
            self.environment = Arc::new(environment.clone());
        }
        differs
    }

    /// Asks AWS for a token.
    pub fn exchange(&mut self, key: ExchangeKey) {
        let (environment, slots) = (self.environment.clone(), self.slots.clone());
        self.tasks.spawn_local(async move {
            let _slot = slots.acquire().await;
            let result = exchange_in_child(&key, &environment).await;
            WorkResult::Exchanged(Box::new(key), result)
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
