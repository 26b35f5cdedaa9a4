//! Runs slow requests: AWS token exchanges and registry verifications.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinError, JoinSet, spawn_local};

use crate::adapters::aws::exchange_process::{exchange_in_child, process_failed};
use crate::adapters::aws::{ExchangeFailure, Token};
use crate::adapters::config::ServerConfig;
use crate::adapters::http::Http;
use crate::adapters::package_registry::{self, PackageVerification};
use crate::adapters::registry::{self, VerificationRequest};
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::declarations::source::Variables;
use crate::domain::reasons::connection::ConnectionFault;
use crate::domain::registry_protocol::image_access::ImageAccess;
use crate::domain::registry_protocol::verdict::Verdict;
use crate::domain::servers::image::Image;
use crate::domain::servers::registry_server::RegistryServer;
use crate::domain::servers::server::Server;

/// The maximum number of concurrent requests.
const MAX_CONCURRENT: usize = 64;

/// The result of a request.
pub enum WorkResult {
    /// The result of a token exchange.
    Exchanged(Box<ExchangeKey>, Result<Token, ExchangeFailure>),
    /// The result of a verification.
    Verified(Verified),
}

/// The verdict of a registry on a login.
pub struct Verified {
    /// The canonical server.
    pub server: String,
    /// The generation of the login.
    pub generation: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// The proxy of the requests: scheme, host and port.
    pub proxy: Option<String>,
}

/// A verification to run.
pub struct Verification {
    /// The registry.
    pub server: RegistryServer,
    /// The credential to verify.
    pub credential: Credential,
    /// How package clients send it (`_SCHEME`).
    pub auth_scheme: Option<AuthScheme>,
    /// The declared CA file (`_CA_FILE`).
    pub ca_file: Option<PathBuf>,
    /// The generation of the login that the result belongs to.
    pub generation: u64,
}

/// The proxies and certificates before and after a change.
pub struct NetworkChange {
    before: Arc<Http>,
    after: Arc<Http>,
}

impl NetworkChange {
    /// Whether requests to this registry may end differently than before.
    pub fn affects(&self, server: &RegistryServer) -> bool {
        self.after.reaches_otherwise(&self.before, server)
    }
}

/// A question about an image.
pub struct AccessQuestion {
    /// The image, on the server as declared.
    pub image: Image,
    /// The login's credential.
    pub credential: Credential,
    /// The declared CA file (`_CA_FILE`).
    pub ca_file: Option<PathBuf>,
}

/// Runs several requests at a time.
///
/// Verifications run on a thread of their own: TLS handshakes need CPU, and certificate files may be
/// on a file system that hangs. Exchanges only wait for a process, so they stay on the caller's.
pub struct WorkerPool {
    http: Arc<Http>,
    environment: Arc<Variables>,
    servers: BTreeMap<String, ServerConfig>,
    slots: Arc<Semaphore>,
    tasks: JoinSet<WorkResult>,
    runtime: Handle,
    /// Ends the thread when dropped.
    _running: oneshot::Sender<()>,
}

impl WorkerPool {
    /// An idle pool. `servers` is the per-server configuration.
    pub fn new(servers: BTreeMap<String, ServerConfig>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("requests".to_owned()).spawn(move || {
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self {
            http: Arc::default(),
            environment: Arc::default(),
            servers,
            slots: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            tasks: JoinSet::new(),
            runtime: handle,
            _running: running,
        })
    }

    /// Sets the AWS settings, proxies and certificates for new requests, and returns how they
    /// changed. Running requests keep the old ones.
    pub fn use_environment(&mut self, environment: &Variables) -> Option<NetworkChange> {
        if *self.environment == *environment {
            return None;
        }
        let http = Arc::new(Http::with_environment(environment).after(&self.http));
        let before = std::mem::replace(&mut self.http, Arc::clone(&http));
        self.environment = Arc::new(environment.clone());
        Some(NetworkChange { before, after: http })
    }

    /// Starts a token exchange with AWS.
    pub fn exchange(&mut self, key: ExchangeKey) {
        let (environment, slots) = (self.environment.clone(), self.slots.clone());
        let exchange = key.clone();
        let token = async move { exchange_in_child(&exchange, &environment).await };
        self.tasks.spawn_local(async move {
            let _slot = slots.acquire().await;
            let panicked = |error: JoinError| Err(process_failed(error.to_string()));
            let result = spawn_local(token).await.unwrap_or_else(panicked);
            WorkResult::Exchanged(Box::new(key), result)
        });
    }

    /// Starts the verification of a credential.
    pub fn verify(&mut self, verification: Verification) {
        let Verification { server, credential, auth_scheme, ca_file, generation } = verification;
        let http = self.http.clone();
        match server.clone() {
            RegistryServer::Container(container) => {
                let realms = self.realms(&container);
                self.spawn_verification(server, generation, async move {
                    let request = VerificationRequest {
                        server: &container,
                        credential: &credential,
                        ca_file: ca_file.as_deref(),
                        realms: &realms,
                    };
                    registry::verify(&http, &request).await
                });
            }
            RegistryServer::Package(package) => {
                let question = PackageVerification { server: package, credential, auth_scheme };
                self.spawn_verification(server, generation, async move {
                    package_registry::verify(&http, &question, ca_file.as_deref()).await
                });
            }
        }
    }

    /// Asks a registry what a login may do with an image, unless the requester goes away.
    pub fn image_access(&self, question: AccessQuestion, mut answer: oneshot::Sender<ImageAccess>) {
        let (http, slots) = (self.http.clone(), self.slots.clone());
        let realms = self.realms(&question.image.server);
        self.runtime.spawn(async move {
            let request = VerificationRequest {
                server: &question.image.server,
                credential: &question.credential,
                ca_file: question.ca_file.as_deref(),
                realms: &realms,
            };
            let access = async {
                let _slot = slots.acquire().await;
                registry::image_access(&http, &request, &question.image).await
            };
            tokio::select! {
                () = answer.closed() => {}
                access = access => drop(answer.send(access)),
            }
        });
    }

    fn spawn_verification(
        &mut self,
        server: RegistryServer,
        generation: u64,
        verdict: impl Future<Output = Verdict> + Send + 'static,
    ) {
        let (slots, proxy) = (self.slots.clone(), self.http.proxy_for(&server));
        let work = async move {
            let _slot = slots.acquire().await;
            // A panic ends only this task. It becomes a result, so the login is retried.
            let verdict = tokio::spawn(verdict).await.unwrap_or_else(|error| {
                let fault = ConnectionFault::Other { error: error.to_string() };
                registry::connection_failed(server.authority().to_owned(), fault)
            });
            let server = server.name().to_owned();
            WorkResult::Verified(Verified { server, generation, verdict, proxy })
        };
        self.tasks.spawn_on(work, &self.runtime);
    }

    /// The next result; `None` when no request is running.
    pub async fn next(&mut self) -> Option<WorkResult> {
        self.tasks.join_next().await?.ok()
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

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;
    use crate::domain::registry_protocol::verdict::Outcome;

    #[tokio::test]
    async fn a_verification_that_panics_has_a_result_after_which_it_is_retried() {
        let mut pool = WorkerPool::new(BTreeMap::new()).unwrap();
        let server = Server::parse("registry.example").unwrap().0.into();
        pool.spawn_verification(server, 7, async { panic!("a mistake") });
        let result = LocalSet::new().run_until(pool.next()).await;
        let Some(WorkResult::Verified(result)) = result else { panic!("no result") };
        let Verified { server, generation, verdict, .. } = result;
        assert_eq!((server.as_str(), generation), ("registry.example", 7));
        assert_eq!(verdict.outcome, Outcome::Unreachable);
    }
}
