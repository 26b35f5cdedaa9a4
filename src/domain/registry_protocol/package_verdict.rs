//! What a package registry's responses mean for a credential.
//!
//! Package registries have no endpoint in common that requires a login. So the agent asks for a few
//! cheap resources without the credential, and sends the credential only to one that answers with 401.

use super::challenge::Challenge;
use super::response::RegistryResponse;
use super::verdict::{Outcome, Verdict, rate_limited_or_failing};
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;
use crate::domain::reasons::rejection::RejectionHint;
use crate::domain::reasons::stray::StrayCharacters;
use crate::domain::reasons::{Reason, RegistryReason};
use crate::domain::servers::package_server::{PackageKind, PackageServer};

/// The resources to ask for, relative to the registry's URL: the URL itself, npm's own user, an index
/// of Python packages (PEP 503), a sparse index of cargo, and the references of a git repository.
pub const RESOURCES: [&str; 5] =
    ["", "-/whoami", "simple/", "config.json", "info/refs?service=git-upload-pack"];

/// Authentication schemes that only other clients support, as they are written. A name that is not
/// among them is not shown: the registry could put anything there.
const UNSUPPORTED: [&str; 6] = ["Digest", "DPoP", "HOBA", "Mutual", "Negotiate", "NTLM"];

/// Evaluates the response to a request without a credential: the schemes in which it asks for one, none
/// if it does not name any; `None` if it asks for no login. An error is what is known if no other
/// resource tells more. `challenges` is `None` if they cannot be parsed.
pub fn asks_for_login(
    server: &PackageServer,
    answer: &RegistryResponse,
    challenges: Option<&[Challenge]>,
) -> Result<Option<Vec<AuthScheme>>, Verdict> {
    // A registry that does not implement the resource has not failed.
    if answer.status != 501
        && let Some(verdict) = rate_limited_or_failing(server.name(), answer)
    {
        return Err(verdict);
    }
    if answer.status != 401 {
        return Ok(None);
    }
    let Some(challenges) = challenges else { return Err(undecided(server, answer)) };
    let names = || challenges.iter().map(|challenge| challenge.scheme.as_str());
    let offered: Vec<_> = names().filter_map(AuthScheme::of_challenge).collect();
    // Some npm registries send 401 without any challenge.
    if challenges.is_empty() || !offered.is_empty() {
        return Ok(Some(offered));
    }
    let known = |scheme: &&str| names().any(|name| name.eq_ignore_ascii_case(scheme));
    let scheme = UNSUPPORTED.into_iter().find(known).map(str::to_owned);
    let reason = RegistryReason::UnsupportedScheme { server: server.name().to_owned(), scheme };
    Err(Verdict::because(Outcome::Unverified, reason))
}

/// Evaluates the response to the same request with the credential, which was sent in the scheme `sent`.
/// An error is what is known if no other resource tells more.
pub fn after_login(
    server: &PackageServer,
    credential: &Credential,
    sent: AuthScheme,
    offered: &[AuthScheme],
    answer: &RegistryResponse,
) -> Result<Verdict, Verdict> {
    if let Some(verdict) = rate_limited_or_failing(server.name(), answer) {
        return Err(verdict);
    }
    match answer.status {
        200..=299 => Ok(Verdict::ready()),
        401 => {
            let user = credential.user.clone();
            let refusal = RejectionHint::of_package(server, credential, sent, offered);
            let stray = StrayCharacters::of(&user, credential.secret.reveal());
            let (server, seen) = (server.name().to_owned(), answer.to_string());
            let reason = RegistryReason::Refused { server, user, refusal, stray, seen };
            Ok(Verdict::because(Outcome::Rejected, reason))
        }
        // Most registries answer so to a login that they know. Some answer so to a wrong password.
        403 => {
            let user = credential.user.clone();
            let refusal = RejectionHint::of_package(server, credential, sent, offered);
            let (server, seen) = (server.name().to_owned(), answer.to_string());
            let reason = RegistryReason::LoginForbidden { server, user, refusal, seen };
            Err(Verdict::because(Outcome::Unverified, reason))
        }
        _ => Err(undecided(server, answer)),
    }
}

/// Of two verdicts on resources that did not tell whether the login is accepted, the one to report:
/// a failure, after which the registry is asked again, or else the earlier one. A login is forbidden if
/// no resource answered anything else.
pub fn more_telling(earlier: Option<Verdict>, later: Verdict) -> Verdict {
    let is_failure = |verdict: &Verdict| verdict.outcome != Outcome::Unverified;
    let forbids = |verdict: &Verdict| {
        matches!(verdict.reason, Some(Reason::Registry(RegistryReason::LoginForbidden { .. })))
    };
    match earlier {
        Some(earlier) if is_failure(&earlier) => earlier,
        Some(earlier) if !is_failure(&later) && !forbids(&earlier) => earlier,
        _ => later,
    }
}

/// The verdict if no resource asked for a login.
pub fn not_asked(server: &PackageServer) -> Verdict {
    let reason = RegistryReason::NotAsked { server: server.name().to_owned() };
    Verdict::because(Outcome::Unverified, reason)
}

/// The verdict if not even the registry's own URL exists.
pub fn nothing_at_url(server: &PackageServer) -> Verdict {
    // Registries of the other kinds may have nothing at the URL that their packages are below.
    if !matches!(server.kind(), PackageKind::Packages | PackageKind::Jfrog) {
        return not_asked(server);
    }
    let reason = RegistryReason::NothingAtUrl { server: server.name().to_owned() };
    Verdict::because(Outcome::Unverified, reason)
}

fn undecided(server: &PackageServer, answer: &RegistryResponse) -> Verdict {
    let (server, seen) = (server.name().to_owned(), answer.to_string());
    Verdict::because(Outcome::Unverified, RegistryReason::Undecided { server, seen })
}
