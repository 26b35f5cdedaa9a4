//! Asking a registry whether it accepts a credential, and what the credential may do there.
//!
//! The rules are in [`crate::domain::registry_protocol::verdict`]; here the requests are sent.

mod image_access;
mod session;

use std::path::Path;

pub use self::image_access::image_access;
use self::session::Session;
use super::http::Http;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::precheck;
use crate::domain::reasons::RegistryReason;
use crate::domain::reasons::connection::ConnectionFault;
use crate::domain::registry_protocol::verdict::{AuthMethod, Outcome, Verdict};
use crate::domain::servers::server::Server;

/// What is asked of a registry, and with what.
#[derive(Debug, Clone, Copy)]
pub struct VerificationRequest<'a> {
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
pub async fn verify(http: &Http, question: &VerificationRequest<'_>) -> Verdict {
    if let Some(reason) = precheck::fault_of(question.server, question.credential) {
        return Verdict::because(Outcome::Invalid, reason);
    }
    match tokio::time::timeout(http.limits().total, ask(http, question)).await {
        Ok(Ok(verdict) | Err(verdict)) => verdict,
        Err(_) => {
            connection_failed(question.server.authority().to_owned(), ConnectionFault::TimedOut)
        }
    }
}

/// The walk: ping, perhaps a token, proof. The error is a verdict that ends it early.
async fn ask(http: &Http, question: &VerificationRequest<'_>) -> Result<Verdict, Verdict> {
    let (session, auth_method) = Session::open(http, question).await?;
    match auth_method {
        AuthMethod::Basic => session.verify_with_password().await,
        AuthMethod::Bearer { realm, service } => {
            let token = session.token(&realm, service.as_deref(), None).await?;
            session.verify_with_token(&token).await
        }
    }
}

fn connection_failed(host: String, fault: ConnectionFault) -> Verdict {
    Verdict::because(Outcome::Unreachable, RegistryReason::Unreached { host, fault })
}
