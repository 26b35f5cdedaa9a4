//! What the agent keeps of one login: its credentials, and the verification under way for it.

use jiff::Timestamp;

use super::exchanges::Exchange;
use super::view::Entry;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::credentials::login::{LastVerdict, Login};
use crate::domain::credentials::replaced::{self, ReplacedCredential};
use crate::domain::declarations::declaration::Declaration;
use crate::domain::reasons::Reason;
use crate::wire::handoff::SavedLogin;

/// How far the verification of a credential is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum VerificationState {
    /// None is under way, and none is needed before the login is due.
    Idle,
    /// The credential in hand was not shown to the registry yet.
    Needed,
    UnderWay,
}

/// A login and the verification that is under way for it.
pub(super) struct LoginEntry {
    pub(super) login: Login,
    /// Of its declaration.
    pub(super) fingerprint: u64,
    pub(super) exchange: Option<ExchangeKey>,
    /// The number of its credential: an answer about any other one is not about this.
    pub(super) generation: u64,
    pub(super) verification: VerificationState,
    pub(super) expiry_recorded: bool,
    /// The credentials it had before, for as long as clients may bring them back.
    pub(super) replaced: Vec<ReplacedCredential>,
    /// Whether it differs from what was shown last.
    pub(super) changed: bool,
}

impl VerificationState {
    pub(super) fn needed(needed: bool) -> Self {
        if needed { Self::Needed } else { Self::Idle }
    }
}

impl LoginEntry {
    /// A new login, with the token that its exchange has in hand and with what an earlier agent knew
    /// of it. Without `verify` no registry is asked.
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
        if let Some(restored) = restored.filter(|restored| restored.fingerprint == fingerprint) {
            replaced = restored.replaced;
            if login.last_verdict == LastVerdict::Pending {
                login.last_verdict = restored.last_verdict;
                login.reason = restored.reason;
                login.verified_at = restored.verified_at;
                login.due = restored.due;
                login.failures = restored.failures;
                needs_verification &= restored.last_verdict == LastVerdict::Pending;
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
            expiry_recorded: false,
            replaced,
            changed: true,
        }
    }

    pub(super) fn is_verified_now(&self) -> bool {
        self.verification == VerificationState::UnderWay
    }

    /// The credential in hand is about to be replaced. Clients may bring back what the agent handed
    /// out, but what the user stored is the user's own at any time.
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

    /// The login as it is shown, with what its exchange is about to do.
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
