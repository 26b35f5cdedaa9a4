//! The AWS tokens, one for each identity and endpoint, and when each is renewed.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::{SignedDuration, Timestamp};

use crate::adapters::aws::{ExchangeFailure, Token};
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::credentials::lifetime::Lifetime;
use crate::domain::credentials::refresh_schedule::{self, RefreshPhase, RetryClass};
use crate::domain::reasons::Reason;
use crate::domain::registry_protocol::verdict::Outcome;
use crate::wire::handoff::SavedToken;

/// The state of one exchange.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The last token, and a remark about it.
    pub token: Option<(Credential, Option<Reason>)>,
    /// Why the last attempt failed; `None` if it succeeded.
    pub failure: Option<(Outcome, Reason)>,
    /// When the next attempt is due.
    pub due: Timestamp,
    /// Whether an attempt is running.
    pub busy: bool,
    /// Whether a failure of the running attempt no longer counts, because a variable that it uses changed.
    is_stale: bool,
    failed_at: Timestamp,
    failures: u32,
    /// The class of the current run of failures.
    retry: Option<RetryClass>,
    renewed: bool,
}

impl Exchange {
    /// An exchange that is due at once.
    pub fn new(now: Timestamp) -> Self {
        Self {
            token: None,
            failure: None,
            due: now,
            busy: false,
            is_stale: false,
            failed_at: now,
            failures: 0,
            retry: None,
            renewed: false,
        }
    }

    /// Restores an exchange from the state of the previous agent.
    pub fn resumed(saved: &SavedToken) -> Self {
        Self {
            token: Some((saved.credential(), None)),
            due: saved.due,
            renewed: true,
            ..Self::new(saved.due)
        }
    }

    /// Makes an attempt due at `now`, and again if the running one fails.
    pub fn try_again(&mut self, now: Timestamp) {
        self.due = now;
        self.is_stale = self.busy;
    }

    /// Whether a failure does not count, and the next attempt is due at `now` instead.
    pub fn starts_again(&mut self, now: Timestamp) -> bool {
        let is_stale = std::mem::take(&mut self.is_stale);
        if is_stale {
            (self.busy, self.due) = (false, now);
        }
        is_stale
    }

    /// Records a new token.
    pub fn succeeded(&mut self, token: Token, now: Timestamp) {
        let credential = token.credential;
        let issued_at = credential.issued_at.unwrap_or(now);
        let life = Lifetime { issued_at, expires_at: credential.expires_at };
        let phase = if self.renewed {
            RefreshPhase::Later
        } else {
            RefreshPhase::First { point: fastrand::f64() }
        };
        self.due = refresh_schedule::refresh_at(&life, now, fastrand::f64(), phase);
        self.token = Some((credential, token.remark.map(Reason::from)));
        self.failure = None;
        self.failures = 0;
        self.retry = None;
        self.renewed = true;
        self.busy = false;
        self.is_stale = false;
    }

    /// Records a failed attempt.
    pub fn failed(&mut self, failure: ExchangeFailure, now: Timestamp) {
        // The count starts again when the class of failure changes: a rejection after an outage is
        // the first rejection.
        let same = self.retry == failure.retry;
        self.failures = if same { self.failures.saturating_add(1) } else { 1 };
        self.retry = failure.retry;
        let jitter = fastrand::f64();
        let retry_after = failure.retry_after;
        self.due = match failure.retry {
            Some(retry) => {
                let due =
                    refresh_schedule::retry_at(now, self.failures, retry, retry_after, jitter);
                self.serves_until().map_or(due, |end| refresh_schedule::before_end(due, now, end))
            }
            // Only a changed declaration would help, and that creates a new exchange.
            None => Timestamp::MAX,
        };
        self.failure = Some((failure.outcome, failure.reason.into()));
        self.failed_at = now;
        self.busy = false;
    }

    /// The earliest time at which a client that needs a token can trigger the next attempt. `None`
    /// if nothing failed or the failure is not temporary.
    pub fn retry_on_demand_at(&self) -> Option<Timestamp> {
        let is_transient = self.failure.is_some() && self.retry == Some(RetryClass::Transient);
        let life = self.token.as_ref().and_then(|(credential, _)| credential.lifetime());
        is_transient.then(|| refresh_schedule::retry_on_demand_at(self.failed_at, life.as_ref()))
    }

    fn serves_until(&self) -> Option<Timestamp> {
        self.token.as_ref().and_then(|(credential, _)| credential.serves_until())
    }

    /// The registry rejected the token, so it became invalid early: a new one is due, but no sooner
    /// than a retry after AWS itself rejects a request.
    pub fn rejected_by_registry(&mut self, failures: u32, now: Timestamp) {
        let due = refresh_schedule::retry_at(
            now,
            failures,
            RetryClass::AwsRefused,
            None,
            fastrand::f64(),
        );
        self.due = self.due.min(due);
    }

    /// Adjusts the times after the clock of this machine was set back by `by`.
    pub fn set_back(&mut self, by: SignedDuration) {
        if let Some((credential, _)) = &mut self.token
            && let Some(issued_at) = credential.issued_at
        {
            let life = Lifetime { issued_at, expires_at: credential.expires_at }.set_back(by);
            credential.issued_at = Some(life.issued_at);
            credential.expires_at = life.expires_at;
        }
        self.due = self.due.checked_sub(by).unwrap_or(self.due);
        self.failed_at = self.failed_at.checked_sub(by).unwrap_or(self.failed_at);
    }
}

/// The exchanges that logins need.
pub type Exchanges = HashMap<ExchangeKey, Exchange>;

/// A number for `key` that stays the same in the next agent and reveals nothing about the keys in
/// it.
pub fn fingerprint(key: &ExchangeKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
