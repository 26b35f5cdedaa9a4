//! The agent's state for one login: its credentials and the verification in progress.

use jiff::Timestamp;

use super::exchanges::Exchange;
use super::view::Entry;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::credentials::login::{LastVerdict, Login, State};
use crate::domain::credentials::replaced::{self, ReplacedCredential};
use crate::domain::declarations::declaration::Declaration;
use crate::domain::reasons::Reason;
use crate::domain::registry_protocol::verdict::Outcome;
use crate::wire::handoff::SavedLogin;

/// The progress of a credential's verification.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum VerificationState {
    /// No verification is running, and none is needed until the login is due.
    Idle,
    /// The current credential has not been sent to the registry yet.
    Needed,
    UnderWay,
}

/// A login and its verification in progress.
pub(super) struct LoginEntry {
    pub(super) login: Login,
    /// The fingerprint of its declaration.
    pub(super) fingerprint: u64,
    pub(super) exchange: Option<ExchangeKey>,
    /// The generation of the current credential. Results for other generations are ignored.
    pub(super) generation: u64,
    pub(super) verification: VerificationState,
    /// Whether the expiry of the current token was recorded as an event.
    expiry_recorded: bool,
    /// The generation of the credential that was served when last published.
    served_generation: Option<u64>,
    /// Earlier credentials that a client may still send back as a login.
    pub(super) replaced: Vec<ReplacedCredential>,
}

impl VerificationState {
    pub(super) fn needed(needed: bool) -> Self {
        if needed { Self::Needed } else { Self::Idle }
    }
}

impl LoginEntry {
    /// Creates a login, with the current token of its exchange and what an earlier agent knew about
    /// it. If `verify` is false, the registry is never asked.
    pub(super) fn begin(
        declaration: Declaration,
        token: Option<(Credential, Option<Reason>)>,
        restored: Option<SavedLogin>,
        verify: bool,
    ) -> Self {
        let fingerprint = declaration.fingerprint();
        let mut login = Login::begin(declaration);
        if let Some((credential, remark)) = token {
            login.exchanged(credential, remark);
        }
        let mut needs_verification =
            login.credential.is_some() && login.last_verdict == LastVerdict::Pending;
        let mut replaced = Vec::new();
        let restored = restored.filter(|restored| restored.fingerprint == fingerprint);
        let mut expiry_recorded = false;
        if let Some(restored) = restored {
            replaced = restored.replaced;
            expiry_recorded = restored.expiry_recorded;
            if login.last_verdict == LastVerdict::Pending {
                login.last_verdict = restored.last_verdict;
                login.reason = restored.reason;
                login.verdict_remark = restored.verdict_remark;
                login.verified_at = restored.verified_at;
                login.offered_scheme = restored.offered_scheme;
                login.due = restored.due;
                login.failures = restored.failures;
                // The network may be another one by now. Without a token, an exchange is due at once.
                login.is_verdict_stale = (restored.is_verdict_stale
                    || is_unreachable(restored.last_verdict))
                    && (verify || login.credential.is_none());
                needs_verification &=
                    restored.last_verdict == LastVerdict::Pending || login.is_verdict_stale;
            }
        }
        if needs_verification && !verify {
            login.not_asked();
            needs_verification = false;
        }
        Self {
            login,
            fingerprint,
            exchange: None,
            generation: 0,
            verification: VerificationState::needed(needs_verification),
            expiry_recorded,
            served_generation: None,
            replaced,
        }
    }

    /// Whether the registry could not be asked.
    pub(super) fn is_unreachable(&self) -> bool {
        is_unreachable(self.login.last_verdict)
    }

    /// Makes the registry be asked about the current credential, as `generation`: what a
    /// verification finds out that is under way no longer counts. Nothing is asked about a token that has ended.
    pub(super) fn verify_again(&mut self, generation: u64, now: Timestamp) {
        let serves = self.login.credential.as_ref().is_some_and(|it| it.serves(now));
        if serves {
            self.generation = generation;
            self.verification = VerificationState::Needed;
            self.login.is_verdict_stale = true;
        }
    }

    fn is_verified_now(&self) -> bool {
        self.verification == VerificationState::UnderWay
    }

    /// Records the current credential before it is replaced, because a client may send back what
    /// the agent handed out. A stored credential is not recorded: it always counts as a login of
    /// the user.
    pub(super) fn remember_credential(&mut self, now: Timestamp) {
        if let Some(credential) = self.login.credential.as_ref().filter(|_| !self.login.is_stored())
        {
            replaced::remember(&mut self.replaced, credential, now);
        }
    }

    /// Whether the registry is to be asked now.
    pub(super) fn verification_is_due(&self, now: Timestamp) -> bool {
        match self.verification {
            VerificationState::Idle => self.login.due.is_some_and(|due| due <= now),
            VerificationState::Needed => true,
            VerificationState::UnderWay => false,
        }
    }

    /// When the registry is to be asked next, or the token ends.
    pub(super) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let credential = self.login.credential.as_ref()?;
        let verification = match self.verification {
            VerificationState::Idle => self.login.due,
            VerificationState::Needed => Some(now),
            VerificationState::UnderWay => None,
        };
        let end = credential.serves_until().filter(|end| *end > now);
        verification.into_iter().chain(end).min()
    }

    /// Whether the token expired since the last call.
    pub(super) fn has_just_expired(&mut self, now: Timestamp) -> bool {
        let is_expired = self.login.judged_state(now) == State::Expired;
        !std::mem::replace(&mut self.expiry_recorded, is_expired) && is_expired
    }

    /// Whether clients get another credential at `now` than at the last call.
    pub(super) fn serves_something_else(&mut self, now: Timestamp) -> bool {
        let generation = self.login.served(now).map(|_| self.generation);
        std::mem::replace(&mut self.served_generation, generation) != generation
    }

    /// What the next agent needs of it.
    pub(super) fn saved(&self) -> SavedLogin {
        SavedLogin {
            expiry_recorded: self.expiry_recorded,
            ..SavedLogin::of(&self.login, self.fingerprint, &self.replaced)
        }
    }

    /// The login as published, with the next action of its exchange.
    pub(super) fn shown(&self, exchange: Option<&Exchange>) -> Entry {
        Entry {
            login: self.login.clone(),
            busy: self.is_verified_now() || exchange.is_some_and(|exchange| exchange.busy),
            due: [exchange.map(|exchange| exchange.due), self.login.due]
                .into_iter()
                .flatten()
                .filter(|due| *due < Timestamp::MAX)
                .min(),
            retry_on_demand_at: exchange.and_then(Exchange::retry_on_demand_at),
            replaced: self.replaced.clone(),
        }
    }
}

fn is_unreachable(verdict: LastVerdict) -> bool {
    verdict == LastVerdict::Judged(Outcome::Unreachable)
}
