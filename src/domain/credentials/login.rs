//! The agent's record of one registry, and how responses change it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::authorization::AuthScheme;
use super::credential::Credential;
use super::precheck;
use super::refresh_schedule::{self, RetryClass};
use super::stated_expiry;
use crate::domain::declarations::declaration::{Declaration, Identity};
use crate::domain::reasons::{self, LoginReason, Reason, RegistryReason};
use crate::domain::registry_protocol::verdict::{Outcome, Verdict};

/// The state of a login as shown to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The first exchange or verification has not finished.
    Pending,
    /// The registry accepted the credential.
    Ready,
    /// The registry did not ask for a credential, or verification is not allowed.
    Unverified,
    /// The host did not respond, or not like a registry.
    Unreachable,
    /// The registry asked to be called again later.
    RateLimited,
    /// The registry or AWS rejected the credential.
    Rejected,
    /// The token has expired and could not be renewed.
    Expired,
    /// The declaration cannot work as it stands.
    Invalid,
}

impl State {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Ready,
        Self::Unverified,
        Self::Unreachable,
        Self::RateLimited,
        Self::Rejected,
        Self::Expired,
        Self::Invalid,
    ];

    /// The state's name in `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Unverified => "unverified",
            Self::Unreachable => "unreachable",
            Self::RateLimited => "rate-limited",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Invalid => "invalid",
        }
    }
}

/// The last known verdict on a login, independent of the current time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastVerdict {
    /// No verdict yet.
    Pending,
    /// The last verdict of the registry, or of AWS if there is no token to verify.
    Judged(Outcome),
}

/// One registry, one declaration, one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// What was declared or stored.
    pub declaration: Declaration,
    /// The credential for the registry; `None` before the first exchange.
    pub credential: Option<Credential>,
    /// The last known verdict.
    pub last_verdict: LastVerdict,
    /// Whether the registry is asked again because the verdict may no longer hold: a proxy or a
    /// certificate changed since. Clients are served by the old verdict meanwhile.
    pub is_verdict_stale: bool,
    /// Why the login is not `ready`, or a remark although it is.
    pub reason: Option<Reason>,
    /// A remark on the exchange that the credential is from.
    pub exchange_remark: Option<Reason>,
    /// A remark of the last verification beside its reason.
    pub verdict_remark: Option<RegistryReason>,
    /// When the registry last accepted the credential.
    pub verified_at: Option<Timestamp>,
    /// How the registry asks for the credential, if it said so.
    pub offered_scheme: Option<AuthScheme>,
    /// The proxy of the last requests to the registry: scheme, host and port.
    pub proxy: Option<String>,
    /// When the registry is asked next, unless something changes.
    pub due: Option<Timestamp>,
    /// How many times in a row the registry could not be asked.
    pub failures: u32,
}

impl Login {
    /// A new login. A password is a usable credential; AWS keys have to be exchanged first. A
    /// credential that this kind of registry cannot accept is `invalid` immediately.
    pub fn begin(declaration: Declaration) -> Self {
        let mut login = Self {
            declaration,
            credential: None,
            last_verdict: LastVerdict::Pending,
            is_verdict_stale: false,
            reason: None,
            exchange_remark: None,
            verdict_remark: None,
            verified_at: None,
            offered_scheme: None,
            proxy: None,
            due: None,
            failures: 0,
        };
        if let Some((user, secret)) = login.declaration.identity.as_declared() {
            let mut credential = Credential::plain(user, secret.clone());
            credential.expires_at = stated_expiry::end_of(&credential.secret);
            if let Some(fault) = precheck::fault_of(&login.declaration.server, &credential) {
                login.reason = Some(fault.into());
                login.last_verdict = LastVerdict::Judged(Outcome::Invalid);
            }
            login.credential = Some(credential);
        }
        login
    }

    /// Replaces the token. The verdict on the previous token stands until there is one on the new
    /// token, unless the previous one was rejected.
    pub fn exchanged(&mut self, credential: Credential, remark: Option<Reason>) {
        self.credential = Some(credential);
        self.reason.clone_from(&remark);
        self.exchange_remark = remark;
        if !matches!(self.last_verdict, LastVerdict::Judged(Outcome::Ready | Outcome::Unverified)) {
            self.last_verdict = LastVerdict::Pending;
        }
    }

    /// Records a failed exchange. A token that is still valid stays in use.
    pub fn exchange_failed(&mut self, outcome: Outcome, reason: Reason, now: Timestamp) {
        self.is_verdict_stale = false;
        self.reason = Some(reason);
        let alive = self.credential.as_ref().is_some_and(|credential| credential.serves(now));
        if !alive {
            self.last_verdict = LastVerdict::Judged(outcome);
        }
    }

    /// Records the registry's verdict at `now`. `jitter` is a random number from 0 to 1.
    pub fn verified(&mut self, verdict: Verdict, now: Timestamp, jitter: f64) {
        let retry = match verdict.outcome {
            Outcome::Ready => {
                self.verified_at = Some(now);
                None
            }
            Outcome::Unverified | Outcome::Invalid => None,
            Outcome::Unreachable | Outcome::RateLimited => Some(RetryClass::Transient),
            Outcome::Rejected => Some(RetryClass::PasswordRefused),
        };
        self.failures = if retry.is_some() { self.failures.saturating_add(1) } else { 0 };
        self.due = match retry {
            Some(class) => {
                let retry_after =
                    verdict.retry_after.map(|seconds| Duration::from_secs(seconds.into()));
                Some(refresh_schedule::retry_at(now, self.failures, class, retry_after, jitter))
            }
            // Only the registry knows whether it accepts a token beyond the expiry that the token
            // states.
            None if verdict.outcome == Outcome::Ready => self.stated_end().filter(|end| *end > now),
            None => None,
        };
        self.is_verdict_stale = false;
        self.offered_scheme = verdict.offered_scheme.or(self.offered_scheme);
        self.last_verdict = LastVerdict::Judged(verdict.outcome);
        self.verdict_remark = verdict.remark.map(|remark| *remark);
        self.reason = verdict.reason.map(|reason| *reason).or_else(|| self.remark());
    }

    /// The state at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        if self.is_verdict_stale { State::Pending } else { self.judged_state(now) }
    }

    /// The state at `now` by the last verdict, even if it is stale.
    pub fn judged_state(&self, now: Timestamp) -> State {
        let dead = self.credential.as_ref().is_some_and(|credential| !credential.serves(now))
            && !self.accepted_past_end();
        match self.last_verdict {
            // Whatever the registry said of a declared token, its end is the cause.
            LastVerdict::Judged(Outcome::Rejected) if self.has_ended(now) => State::Expired,
            LastVerdict::Judged(Outcome::Rejected) => State::Rejected,
            LastVerdict::Judged(Outcome::Invalid) => State::Invalid,
            // The registry has not confirmed the expiry that the token states.
            LastVerdict::Pending if self.stated_end().is_some() => State::Pending,
            _ if dead => State::Expired,
            LastVerdict::Pending => State::Pending,
            LastVerdict::Judged(Outcome::Ready) => State::Ready,
            LastVerdict::Judged(Outcome::Unverified) => State::Unverified,
            LastVerdict::Judged(Outcome::Unreachable) => State::Unreachable,
            LastVerdict::Judged(Outcome::RateLimited) => State::RateLimited,
        }
    }

    /// The credential that clients receive at `now`; `None` if it is withheld or not available yet.
    pub fn served(&self, now: Timestamp) -> Option<&Credential> {
        let credential = self.credential.as_ref()?;
        match self.judged_state(now) {
            State::Ready | State::Unverified | State::Unreachable | State::RateLimited => {
                Some(credential)
            }
            // AWS vouches for its token, so clients need not wait for the registry to accept it.
            State::Pending if matches!(self.declaration.identity, Identity::Aws(_)) => {
                Some(credential)
            }
            State::Pending | State::Rejected | State::Expired | State::Invalid => None,
        }
    }

    /// Records that the configuration disables verification.
    pub fn not_asked(&mut self) {
        self.is_verdict_stale = false;
        self.last_verdict = LastVerdict::Judged(Outcome::Unverified);
        let server = self.declaration.server.name().to_owned();
        self.reason = Some(LoginReason::NotAsked { server }.into());
    }

    /// Whether the login comes from the user's own `docker login`.
    pub fn is_stored(&self) -> bool {
        self.declaration.is_stored()
    }

    /// Why the login is not `ready` at `now`, or a remark although it is.
    pub fn reason_at(&self, now: Timestamp) -> Option<Reason> {
        match self.state(now) {
            State::Pending if self.is_verdict_stale => None,
            State::Expired if self.stated_end().is_some_and(|end| end <= now) => {
                Some(self.expiry_reason())
            }
            State::Expired => Some(self.reason.clone().unwrap_or_else(|| self.expiry_reason())),
            _ => self.reason.clone(),
        }
    }

    /// The expiry that a declared or stored token states about itself.
    pub(super) fn stated_end(&self) -> Option<Timestamp> {
        match self.declaration.identity {
            Identity::Password { .. } | Identity::Token(_) => self.credential.as_ref()?.expires_at,
            Identity::Aws(_) => None,
        }
    }

    /// Whether a declared token has ended: by its own statement, or by that of the registry.
    fn has_ended(&self, now: Timestamp) -> bool {
        let said =
            matches!(self.reason, Some(Reason::Registry(RegistryReason::TokenExpired { .. })));
        match self.declaration.identity {
            Identity::Password { .. } | Identity::Token(_) => {
                said || self.stated_end().is_some_and(|end| end <= now)
            }
            Identity::Aws(_) => false,
        }
    }

    /// Whether the registry accepted the token after its stated expiry.
    pub(super) fn accepted_past_end(&self) -> bool {
        self.last_verdict == LastVerdict::Judged(Outcome::Ready)
            && self.stated_end().is_some_and(|end| self.verified_at.is_some_and(|at| at >= end))
    }

    pub(super) fn expiry_reason(&self) -> Reason {
        let end = self.credential.as_ref().and_then(|credential| credential.expires_at);
        LoginReason::TokenEnded {
            server: self.declaration.server.name().to_owned(),
            at: end.map_or_else(String::new, reasons::instant),
        }
        .into()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::domain::servers::server::Server;

    const HOST: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
    pub(in crate::domain::credentials) const END: i64 = 1_800_000_000;

    pub(in crate::domain::credentials) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A login with a pasted ECR token that states its expiry.
    pub(in crate::domain::credentials) fn pasted() -> Login {
        let token = STANDARD.encode(format!(r#"{{"payload":"x","expiration":{END}}}"#));
        let identity = Identity::Password { user: "AWS".to_owned(), password: token.into() };
        let declaration = Declaration {
            name: "WORK".to_owned(),
            server: Server::parse(HOST).unwrap().0.into(),
            identity,
            auth_scheme: None,
            ca_file: None,
            source: "sync".to_owned(),
            variables: Vec::new(),
            password_file: None,
            stored: None,
        };
        Login::begin(declaration)
    }

    #[test]
    fn a_pasted_token_is_served_until_it_expires() {
        let mut login = pasted();
        login.verified(Verdict::ready(), at(END - 7200), 0.5);
        assert_eq!(login.state(at(END - 1)), State::Ready);
        assert!(login.served(at(END - 1)).is_some());
        assert_eq!(login.state(at(END)), State::Expired);
        assert!(login.served(at(END)).is_none());
        assert_eq!(login.reason_at(at(END)).map(|reason| reason.code()), Some("token-ended"));
    }

    #[test]
    fn a_token_is_verified_again_at_its_stated_expiry() {
        let mut login = pasted();
        login.verified(Verdict::ready(), at(END - 7200), 0.5);
        assert_eq!(login.due, Some(at(END)));
        login.verified(Verdict::ready(), at(END), 0.5);
        assert_eq!((login.state(at(END + 1)), login.due), (State::Ready, None));
        assert_eq!(login.problem(at(END + 1)), None);
    }

    #[test]
    fn a_rejected_login_is_withheld_and_retried_only_after_an_hour() {
        let mut login = pasted();
        let reason = Reason::from(LoginReason::NotAsked { server: HOST.to_owned() });
        login.verified(Verdict::because(Outcome::Rejected, reason), at(0), 0.0);
        assert_eq!(login.state(at(1)), State::Rejected);
        assert!(login.served(at(1)).is_none());
        assert_eq!(login.due, Some(at(3600)));
    }
}
