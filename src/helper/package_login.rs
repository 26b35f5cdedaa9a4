//! The login for a URL that a package client is about to request.

use super::agent::Agent;
use super::encode;
use super::notice::Notice;
use crate::adapters::agent_client::ClientError;
use crate::wire::api::UNKNOWN_REGISTRY;
use crate::wire::package_credential::PackageCredential;

/// The login that answers for `url`, or `None` if the registry is not ours, or no agent is wanted.
///
/// # Errors
///
/// If the login is withheld or the agent fails. Clients that go on without a login then also install
/// public packages.
pub(super) fn find(agent: &Agent, url: &str) -> Result<Option<PackageCredential>, Notice> {
    let target = format!("/v1/credential?url={}", encode(url));
    let none = match agent.ask("GET", &target, b"", |body| serde_json::from_slice(body).ok()) {
        Ok(login) => return Ok(Some(login)),
        Err(none) => none,
    };
    let is_unknown = matches!(&none.error, ClientError::Refused(problem)
        if problem.code.as_deref() == Some(UNKNOWN_REGISTRY));
    if is_unknown || none.is_expected() { Ok(None) } else { Err(Notice::of_failure(&none)) }
}
