//! What a package registry's responses mean for a credential.
//!
//! Package registries have no endpoint in common that requires a login. So the agent asks for a few
//! cheap resources without the credential, and sends the credential only to one that answers with 401.

use std::iter;

use super::challenge::Challenge;
use super::response::RegistryResponse;
use super::verdict::{Outcome, Verdict, rate_limited_or_failing};
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;
use crate::domain::package_clients::format::PackageFormat;
use crate::domain::reasons::rejection::RejectionHint;
use crate::domain::reasons::stray::StrayCharacters;
use crate::domain::reasons::{Reason, RegistryReason};
use crate::domain::servers::package_server::{PackageKind, PackageServer, PackageUrl};

/// The resources that tell whether a login is accepted, relative to the registry's URL: npm's own user, an
/// index of Python packages (PEP 503), a sparse index of cargo, and the references of a git repository.
const RESOURCES: [(PackageFormat, &str); 4] = [
    (PackageFormat::Npm, "-/whoami"),
    (PackageFormat::Python, "simple/"),
    (PackageFormat::Cargo, "config.json"),
    (PackageFormat::Git, "info/refs?service=git-upload-pack"),
];

/// Authentication schemes that only other clients support, as they are written. A name that is not
/// among them is not shown: the registry could put anything there.
const UNSUPPORTED: [&str; 6] = ["Digest", "DPoP", "HOBA", "Mutual", "Negotiate", "NTLM"];

/// The resources to ask `server` for: its URL, and those of the formats that it may have.
pub fn resources(server: &PackageServer) -> Vec<&'static str> {
    let may_answer = RESOURCES.into_iter().filter(|(format, _)| format.may_be_in(server));
    iter::once("").chain(may_answer.map(|(_, resource)| resource)).collect()
}

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
        let reason = verdict.reason.as_deref();
        matches!(reason, Some(Reason::Registry(RegistryReason::LoginForbidden { .. })))
    };
    match earlier {
        Some(earlier) if is_failure(&earlier) => earlier,
        Some(earlier) if !is_failure(&later) && !forbids(&earlier) => earlier,
        _ => later,
    }
}

/// What the resources do that ask for no login.
#[derive(Default)]
pub struct Unasked {
    /// How many were asked for.
    pub asked: usize,
    /// How many do not exist.
    pub missing: usize,
    /// Those that redirect, and where to.
    pub redirected: Vec<(&'static str, PackageUrl)>,
}

impl Unasked {
    /// The verdict if no resource of `server` asked for a login.
    pub fn verdict(&self, server: &PackageServer) -> Verdict {
        let away = self.redirected.len();
        // A single one may be a page for people, with the packages below it.
        let all_away = away > 1 && away + self.missing == self.asked;
        let elsewhere = all_away.then(|| self.elsewhere(server)).flatten();
        if let Some(reason) = elsewhere {
            return Verdict::because(Outcome::Unverified, reason);
        }
        // Registries of the other kinds may have nothing at the URL that their packages are below.
        let may_be_empty = !matches!(server.kind(), PackageKind::Packages | PackageKind::Jfrog);
        if may_be_empty || self.asked == 1 || self.missing < self.asked {
            return not_asked(server);
        }
        let reason = RegistryReason::NothingAtUrl { server: server.name().to_owned() };
        Verdict::because(Outcome::Unverified, reason)
    }

    /// Where all redirects lead. A registry that has moved keeps what follows its URL, and a page for people
    /// is the same for all.
    fn elsewhere(&self, server: &PackageServer) -> Option<RegistryReason> {
        let moved = |(resource, target): &(&str, PackageUrl)| {
            let resource = resource.split('?').next().unwrap_or_default();
            let target = target.to_string();
            PackageServer::parse(target.strip_suffix(resource)?).ok()
        };
        let targets: Option<Vec<_>> = self.redirected.iter().map(moved).collect();
        let base = targets.as_ref().and_then(|all| {
            let (first, others) = all.split_first()?;
            // Nobody should send in plain text what was declared with TLS.
            let is_as_safe = first.scheme() == server.scheme() || server.scheme() == "http";
            (others.iter().all(|it| it == first) && is_as_safe).then_some(first)
        });
        if base == Some(server) {
            return None;
        }
        let (_, target) = self.redirected.first()?;
        let target = base.map_or_else(|| target.to_string(), PackageServer::to_string);
        let server = server.name().to_owned();
        Some(RegistryReason::RedirectsAway { server, target, is_moved: base.is_some() })
    }
}

/// The verdict if the registry asks for no login.
pub fn not_asked(server: &PackageServer) -> Verdict {
    let reason = RegistryReason::NotAsked { server: server.name().to_owned() };
    Verdict::because(Outcome::Unverified, reason)
}

fn undecided(server: &PackageServer, answer: &RegistryResponse) -> Verdict {
    let (server, seen) = (server.name().to_owned(), answer.to_string());
    Verdict::because(Outcome::Unverified, RegistryReason::Undecided { server, seen })
}
