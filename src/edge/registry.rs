//! Asking a registry whether it accepts a credential, and what the credential may do there.
//!
//! The rules are in [`crate::domain::verdict`]; here they are put to the wire.

mod rights;
mod session;

use std::path::Path;

pub use self::rights::rights;
use self::session::Session;
use super::http::Http;
use crate::domain::credential::Credential;
use crate::domain::precheck;
use crate::domain::reason::RegistryReason;
use crate::domain::reason::reach::ReachFault;
use crate::domain::server::Server;
use crate::domain::verdict::{Outcome, Verdict, Way};

/// What is asked of a registry, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The registry.
    pub server: &'a Server,
    /// The credential it should accept.
    pub credential: &'a Credential,
    /// The certificates of its authority (`_CA_FILE`).
    pub ca_file: Option<&'a Path>,
    /// The hosts beside its own that may see the password, from the configuration.
    pub realms: &'a [String],
}

/// Asks the registry whether it accepts the credential. It is shown it once, at most.
///
/// Ends within [`super::http::Limits::total`]. A future that is dropped leaves nothing behind.
pub async fn verify(http: &Http, question: &Question<'_>) -> Verdict {
    if let Some(reason) = precheck::fault_of(question.server, question.credential) {
        return Verdict::because(Outcome::Invalid, reason);
    }
    match tokio::time::timeout(http.limits().total, ask(http, question)).await {
        Ok(Ok(verdict) | Err(verdict)) => verdict,
        Err(_) => unreached(question.server.authority().to_owned(), ReachFault::TimedOut),
    }
}

/// The walk: ping, perhaps a token, proof. The error is a verdict that ends it early.
async fn ask(http: &Http, question: &Question<'_>) -> Result<Verdict, Verdict> {
    let (session, way) = Session::open(http, question).await?;
    match way {
        Way::Basic => session.prove_by_password().await,
        Way::Bearer { realm, service } => {
            let token = session.token(&realm, service.as_deref(), None).await?;
            session.prove_by_token(&token).await
        }
    }
}

fn unreached(host: String, fault: ReachFault) -> Verdict {
    Verdict::because(Outcome::Unreachable, RegistryReason::Unreached { host, fault })
}
