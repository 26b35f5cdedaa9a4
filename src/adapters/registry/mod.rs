//! Asks a registry whether it accepts a credential, and what the credential may do there.
//!
//! The rules are in [`crate::domain::registry_protocol::verdict`]; this module sends the requests.

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

/// The parameters of a verification.
#[derive(Debug, Clone, Copy)]
pub struct VerificationRequest<'a> {
    /// The registry.
    pub server: &'a Server,
    /// The credential to verify.
    pub credential: &'a Credential,
    /// The CA file declared for the registry (`_CA_FILE`).
    pub ca_file: Option<&'a Path>,
    /// The additional hosts that may receive the password, from the configuration.
    pub realms: &'a [String],
}

/// Asks the registry whether it accepts the credential, which is sent to it at most once.
///
/// Ends within [`super::http::Limits::total`]. The future can be dropped at any time.
pub async fn verify(http: &Http, question: &VerificationRequest<'_>) -> Verdict {
    let server = question.server.clone().into();
    if let Some(reason) = precheck::fault_of(&server, question.credential) {
        return Verdict::because(Outcome::Invalid, reason);
    }
    match tokio::time::timeout(http.limits().total, ask(http, question)).await {
        Ok(Ok(verdict) | Err(verdict)) => verdict,
        Err(_) => {
            connection_failed(question.server.authority().to_owned(), ConnectionFault::TimedOut)
        }
    }
}

/// The sequence of requests: ping, token if required, authenticated request. An error is a verdict
/// that ends it early.
async fn ask(http: &Http, question: &VerificationRequest<'_>) -> Result<Verdict, Verdict> {
    let (session, auth_method) = Session::open(http, question).await?;
    let verdict = match auth_method {
        AuthMethod::Basic => session.verify_with_password().await,
        AuthMethod::Bearer { realm, service } => {
            let token = session.token(&realm, service.as_deref(), None).await?;
            session.verify_with_token(&token).await
        }
    }?;
    let verdict = verdict.with_remark(session.plain_remark());
    let verdict = verdict.with_clock(question.server.name(), session.clock_ahead());
    Ok(verdict.with_remark(session.certificate_remark()))
}

/// The verdict on a registry that could not be asked.
pub fn connection_failed(host: String, fault: ConnectionFault) -> Verdict {
    Verdict::because(Outcome::Unreachable, RegistryReason::Unreached { host, fault })
}
