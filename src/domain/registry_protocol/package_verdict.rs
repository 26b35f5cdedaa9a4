//! What a package registry's responses mean for a credential.
//!
//! Package registries have no endpoint in common that requires a login. So the agent asks for a few
//! cheap resources without the credential, and sends the credential only to one that answers with 401.

use super::challenge::Challenge;
use super::response::RegistryResponse;
use super::verdict::{Outcome, Verdict, rate_limited_or_failing};
use crate::domain::credentials::credential::Credential;
use crate::domain::reasons::RegistryReason;
use crate::domain::reasons::rejection::RejectionHint;
use crate::domain::reasons::stray::StrayCharacters;
use crate::domain::servers::package_server::PackageServer;

/// The resources to ask for, relative to the registry's URL: the URL itself, npm's own user, an index
/// of Python packages (PEP 503), a sparse index of cargo, and the references of a git repository.
pub const RESOURCES: [&str; 5] =
    ["", "-/whoami", "simple/", "config.json", "info/refs?service=git-upload-pack"];

/// Evaluates the response to a request without a credential: whether it asks for one, or a final
/// verdict. `challenges` is `None` if they cannot be parsed.
pub fn asks_for_login(
    server: &PackageServer,
    answer: &RegistryResponse,
    challenges: Option<&[Challenge]>,
) -> Result<bool, Verdict> {
    if let Some(verdict) = rate_limited_or_failing(server.name(), answer) {
        return Err(verdict);
    }
    let is_known =
        |challenge: &Challenge| matches!(challenge.scheme.as_str(), "basic" | "bearer" | "cargo");
    // Some npm registries send 401 without any challenge.
    let asks = |challenges: &[Challenge]| challenges.is_empty() || challenges.iter().any(is_known);
    Ok(answer.status == 401 && challenges.is_some_and(asks))
}

/// Evaluates the response to the same request with the credential; `None` if it does not tell whether
/// the registry accepts it.
pub fn after_login(
    server: &PackageServer,
    credential: &Credential,
    answer: &RegistryResponse,
) -> Option<Verdict> {
    if let Some(verdict) = rate_limited_or_failing(server.name(), answer) {
        return Some(verdict);
    }
    match answer.status {
        200..=299 => Some(Verdict::ready()),
        401 | 403 => {
            let user = credential.user.clone();
            let refusal = RejectionHint::of_package(server, credential);
            let stray = StrayCharacters::of(&user, credential.secret.reveal());
            let (server, seen) = (server.name().to_owned(), answer.to_string());
            let reason = RegistryReason::Refused { server, user, refusal, stray, seen };
            Some(Verdict::because(Outcome::Rejected, reason))
        }
        _ => None,
    }
}

/// The verdict if no resource asked for a login, or none told whether it is accepted.
pub fn undecided(server: &PackageServer, last: Option<&RegistryResponse>) -> Verdict {
    let server = server.name().to_owned();
    let reason = match last {
        Some(answer) => RegistryReason::Undecided { server, seen: answer.to_string() },
        None => RegistryReason::NotAsked { server },
    };
    Verdict::because(Outcome::Unverified, reason)
}
