//! What a registry's responses mean for a credential.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use url::Url;

use super::challenge::{Challenge, ChallengeFault};
use super::realm::{self, RealmRule};
use super::response::{RegistryResponse, RequestStep, clean};
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::lifetime::SKEW_TO_REMARK;
use crate::domain::credentials::secret::Secret;
use crate::domain::reasons::rejection::RejectionHint;
use crate::domain::reasons::stray::StrayCharacters;
use crate::domain::reasons::{Reason, RegistryReason};
use crate::domain::servers::kind::Kind;
use crate::domain::servers::server::Server;

/// The result of a verification. Each variant has the name of the login state it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The registry asked for a credential and accepted this one.
    Ready,
    /// The registry did not ask for a credential, or its realm may not receive the password until
    /// the user allows it.
    Unverified,
    /// The host did not respond, or not like a registry.
    Unreachable,
    /// The registry asked to be called again later.
    RateLimited,
    /// The registry rejected the credential.
    Rejected,
    /// The registry names a realm that must not receive a password, or the credential is malformed.
    Invalid,
}

impl Outcome {
    /// Its name, which is that of the login's state after it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unverified => "unverified",
            Self::Unreachable => "unreachable",
            Self::RateLimited => "rate-limited",
            Self::Rejected => "rejected",
            Self::Invalid => "invalid",
        }
    }
}

/// The outcome of one verification, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The resulting state of the login.
    pub outcome: Outcome,
    /// Why it is not [`Outcome::Ready`], or a remark although it is.
    pub reason: Option<Box<Reason>>,
    /// How long the registry asked clients to wait (`Retry-After`), in seconds.
    pub retry_after: Option<u32>,
    /// How a package registry asks for the credential, if it said so.
    pub offered_scheme: Option<AuthScheme>,
    /// A remark beside the reason of a login that is not verified.
    pub remark: Option<Box<RegistryReason>>,
}

impl Verdict {
    /// The registry accepted the credential.
    pub fn ready() -> Self {
        Self {
            outcome: Outcome::Ready,
            reason: None,
            retry_after: None,
            offered_scheme: None,
            remark: None,
        }
    }

    /// The same verdict, with a remark if it is [`Outcome::Ready`] and the local clock is `ahead` of
    /// the registry's, or behind it.
    #[must_use]
    pub fn with_clock(self, server: &str, ahead: SignedDuration) -> Self {
        let (server, seconds) = (server.to_owned(), ahead.as_secs());
        let is_off = ahead.abs() > SKEW_TO_REMARK;
        self.with_remark(is_off.then_some(RegistryReason::ClockOff { server, seconds }))
    }

    /// The same verdict, with this remark if it is [`Outcome::Ready`].
    #[must_use]
    pub fn with_remark(mut self, remark: Option<RegistryReason>) -> Self {
        if self.outcome == Outcome::Ready
            && let Some(remark) = remark
        {
            self.reason = Some(Box::new(remark.into()));
        }
        self
    }

    /// As [`Verdict::with_remark`], and beside the reason if it is [`Outcome::Unverified`].
    #[must_use]
    pub fn with_remark_beside(self, remark: Option<RegistryReason>) -> Self {
        if self.outcome == Outcome::Unverified {
            return Self { remark: remark.map(Box::new), ..self };
        }
        self.with_remark(remark)
    }

    /// Any other outcome, with its reason.
    pub fn because(outcome: Outcome, reason: impl Into<Reason>) -> Self {
        Self { outcome, reason: Some(Box::new(reason.into())), ..Self::ready() }
    }
}

/// How the registry accepts credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthMethod {
    /// User and password with every request.
    Basic,
    /// A token, which the realm issues for the password.
    Bearer {
        /// The token server. It is allowed to receive the password.
        realm: Url,
        /// The registry's name at the token server.
        service: Option<String>,
    },
}

/// Evaluates the response to `GET /v2/` without a credential: the authentication method, or a final
/// verdict. `secrets` are removed from any text about a realm.
pub fn after_ping(
    server: &Server,
    answer: &RegistryResponse,
    challenges: Result<Vec<Challenge>, ChallengeFault>,
    realms: &[String],
    secrets: &[&Secret],
) -> Result<AuthMethod, Verdict> {
    if answer.status == 401 {
        return match challenges {
            Ok(challenges) if challenges.is_empty() => Err(not_a_registry(server, answer)),
            Ok(challenges) => auth_method(server, &challenges, realms, secrets),
            Err(fault) => Err(bad_challenge(server, fault.to_string())),
        };
    }
    if let Some(verdict) = rate_limited_or_failing(server.name(), answer) {
        return Err(verdict);
    }
    let name = server.name().to_owned();
    Err(match answer.status {
        200 if answer.registry_like => {
            Verdict::because(Outcome::Unverified, RegistryReason::NotAsked { server: name })
        }
        403 if answer.registry_like => Verdict::because(
            Outcome::Unreachable,
            RegistryReason::Failing { server: name, seen: answer.to_string() },
        ),
        _ => not_a_registry(server, answer),
    })
}

/// Evaluates a response of the realm that contains no token.
pub fn after_token(server: &Server, credential: &Credential, answer: &RegistryResponse) -> Verdict {
    if let Some(verdict) = rate_limited_or_failing(server.name(), answer) {
        return verdict;
    }
    // RFC 6749, section 5.2: a rejected refresh token is a 400.
    let grant = answer.status == 400
        && matches!(answer.code.as_deref(), Some("INVALID_GRANT" | "UNAUTHORIZED_CLIENT"));
    if grant || matches!(answer.status, 401 | 403) || refused_by_ecr_public(server, answer) {
        return refused(server, credential, answer);
    }
    let reason =
        RegistryReason::NoToken { server: server.name().to_owned(), seen: answer.to_string() };
    Verdict::because(Outcome::Unreachable, reason)
}

/// Evaluates the response to `GET /v2/` with the credential.
pub fn after_authenticated_request(
    server: &Server,
    credential: &Credential,
    answer: &RegistryResponse,
) -> Verdict {
    if let Some(verdict) = rate_limited_or_failing(server.name(), answer) {
        return verdict;
    }
    match answer.status {
        200 => Verdict::ready(),
        401 | 403 => refused(server, credential, answer),
        _ if refused_by_ecr_public(server, answer) => refused(server, credential, answer),
        _ => not_a_registry(server, answer),
    }
}

/// The verdict that the host does not behave like a registry.
pub fn not_a_registry(server: &Server, answer: &RegistryResponse) -> Verdict {
    let (server, seen) = (server.name().to_owned(), answer.to_string());
    let reason = RegistryReason::NotARegistry { server, seen, has_packages: false };
    Verdict::because(Outcome::Unreachable, reason)
}

/// Bearer takes precedence over Basic, as in every client. If one realm must not receive a
/// password, none is used: there is no telling which of them a client would follow.
fn auth_method(
    server: &Server,
    challenges: &[Challenge],
    realms: &[String],
    secrets: &[&Secret],
) -> Result<AuthMethod, Verdict> {
    let name = || server.name().to_owned();
    let mut asked = None;
    let mut bearer = None;
    let mut fault = None;
    for challenge in challenges.iter().filter(|challenge| challenge.scheme == "bearer") {
        let Some(realm) = challenge.parameter("realm") else {
            fault = Some("it names no realm");
            continue;
        };
        match realm::rule_for(server, realm, realms) {
            RealmRule::Send(realm) => {
                let service = challenge.parameter("service").map(str::to_owned);
                bearer.get_or_insert(AuthMethod::Bearer { realm, service });
            }
            RealmRule::Ask { host } => asked = Some(host),
            RealmRule::Never { origin, fault } => {
                let realm = clean(&origin, secrets);
                let reason = RegistryReason::RealmForbidden { server: name(), realm, fault };
                return Err(Verdict::because(Outcome::Invalid, reason));
            }
            RealmRule::NotAUrl => fault = Some("its realm is not a web address"),
        }
    }
    if let Some(host) = asked {
        let realm = clean(&host, secrets);
        let reason = RegistryReason::RealmNotAllowed { server: name(), realm };
        return Err(Verdict::because(Outcome::Unverified, reason));
    }
    if let Some(bearer) = bearer {
        return Ok(bearer);
    }
    if challenges.iter().any(|challenge| challenge.scheme == "basic") {
        return Ok(AuthMethod::Basic);
    }
    let fault = fault.unwrap_or("it offers neither Basic nor Bearer");
    Err(bad_challenge(server, fault.to_owned()))
}

fn bad_challenge(server: &Server, fault: String) -> Verdict {
    let reason = RegistryReason::BadChallenge { server: server.name().to_owned(), fault };
    Verdict::because(Outcome::Unreachable, reason)
}

/// Responses that say nothing about the credential in any step: too many requests, and failures of
/// the registry itself.
pub(super) fn rate_limited_or_failing(server: &str, answer: &RegistryResponse) -> Option<Verdict> {
    let (name, seen) = (server.to_owned(), answer.to_string());
    let limited = answer.status == 429 || answer.code.as_deref() == Some("TOOMANYREQUESTS");
    let mut verdict = if limited && answer.status >= 400 {
        let wait = answer.retry_after.map(|wait| wait.as_secs());
        let reason = RegistryReason::RateLimited { server: name, wait, seen };
        Verdict::because(Outcome::RateLimited, reason)
    } else if answer.status >= 500 {
        Verdict::because(Outcome::Unreachable, RegistryReason::Failing { server: name, seen })
    } else {
        return None;
    };
    let seconds = |wait: Duration| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
    verdict.retry_after = answer.retry_after.map(seconds);
    Some(verdict)
}

fn refused(server: &Server, credential: &Credential, answer: &RegistryResponse) -> Verdict {
    let (name, seen) = (server.name().to_owned(), answer.to_string());
    let ecr = matches!(server.kind(), Kind::Ecr(_) | Kind::EcrPublic);
    let reason = if ecr && answer.says("authorization token has expired") {
        RegistryReason::TokenExpired { server: name, seen }
    } else {
        let user = credential.user.clone();
        let refusal = RejectionHint::of(server, credential);
        let stray = StrayCharacters::of(&user, credential.secret.reveal());
        RegistryReason::Refused { server: name, user, refusal, stray, seen }
    };
    Verdict::because(Outcome::Rejected, reason)
}

/// Public ECR responds to an expired token with 400 and no challenge.
fn refused_by_ecr_public(server: &Server, answer: &RegistryResponse) -> bool {
    server.kind() == &Kind::EcrPublic && answer.status == 400 && answer.step != RequestStep::Ping
}
