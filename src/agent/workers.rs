//! Runs slow requests: AWS token exchanges and registry verifications.

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

/// The maximum number of concurrent requests.
const MAX_CONCURRENT: usize = 64;

/// The result of a request.
pub enum WorkResult {
    /// The result of a token exchange.
    Exchanged(Box<ExchangeKey>, Result<Token, ExchangeFailure>),
    /// The verdict of a registry on this generation of a login.
    Verified(String, u64, Verdict),
}

/// A verification to run.
pub struct Verification {
    /// The registry.
    pub server: Server,
    /// The credential to verify.
    pub credential: Credential,
    /// The declared CA file (`_CA_FILE`).
    pub ca_file: Option<PathBuf>,
    /// The generation of the login that the result belongs to.
    pub generation: u64,
}

/// Runs several requests at a time.
pub struct WorkerPool {
    http: Arc<Http>,
    environment: Arc<Variables>,
    servers: BTreeMap<String, ServerConfig>,
    slots: Arc<Semaphore>,
    tasks: JoinSet<WorkResult>,
}

impl WorkerPool {
    /// An idle pool. `servers` is the per-server configuration.
    pub fn new(servers: BTreeMap<String, ServerConfig>) -> Self {
        Self {
            http: Arc::default(),
            environment: Arc::default(),
            servers,
            slots: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            tasks: JoinSet::new(),
        }
    }

    /// Sets the AWS settings, proxies and certificates for new requests, and returns whether they
    /// changed. Running requests keep the old ones.
    pub fn use_environment(&mut self, environment: &Variables) -> bool {
        let differs = *self.environment != *environment;
        if differs {
            self.http = Arc::new(Http::with_environment(environment));
            self.environment = Arc::new(environment.clone());
        }
        differs
    }

    /// Starts a token exchange with AWS.
    pub fn exchange(&mut self, key: ExchangeKey) {
        let (environment, slots) = (self.environment.clone(), self.slots.clone());
        self.tasks.spawn_local(async move {
            let _slot = slots.acquire().await;
            let result = exchange_in_child(&key, &environment).await;
            WorkResult::Exchanged(Box::new(key), result)
        });
    }

    /// Starts the verification of a credential.
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

    /// The next result; `None` when no request is running.
    pub async fn next(&mut self) -> Option<WorkResult> {
        while let Some(finished) = self.tasks.join_next().await {
            match finished {
                Ok(done) => return Some(done),
                Err(error) => tracing::error!("a task failed: {error}"),
            }
        }
        None
    }

    /// A result that is already available.
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
