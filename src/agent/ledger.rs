//! The logins and the tokens they use: what is wanted, what is known, what is due.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::events::Events;
use super::exchanges::{self, Exchange, Exchanges};
use super::view::Entry;
use super::work::Verification;
use crate::domain::declaration::{Declaration, Identity};
use crate::domain::difference::{self, Difference};
use crate::domain::docker_config::Wanted;
use crate::domain::exchange::ExchangeKey;
use crate::domain::login::{Login, Standing, State};
use crate::domain::problem::Problem;
use crate::domain::verdict::{Outcome, Verdict};
use crate::edge::aws::{Refusal, Token};
use crate::edge::config::Mode;
use crate::wire::memory::{Memory, RememberedLogin, RememberedToken};

/// A login and the verification that is under way for it.
struct Record {
    login: Login,
    exchange: Option<ExchangeKey>,
    /// Counts the credentials it had: an answer about an earlier one is not about this.
    generation: u64,
    verifying: bool,
    /// The credential in hand was not shown to the registry yet.
    unseen: bool,
    /// Its end was noted.
    dead: bool,
}

/// All logins.
pub struct Ledger {
    records: BTreeMap<String, Record>,
    exchanges: Exchanges,
    verify: bool,
    left_logins: BTreeMap<String, RememberedLogin>,
    left_tokens: BTreeMap<u64, RememberedToken>,
}

impl Ledger {
    /// An empty ledger; what the last agent left in `memory` is taken up as declarations appear.
    pub fn new(memory: &mut Memory, verify: bool) -> Self {
        Self {
            records: BTreeMap::new(),
            exchanges: HashMap::new(),
            verify,
            left_logins: std::mem::take(&mut memory.logins),
            left_tokens: std::mem::take(&mut memory.tokens),
        }
    }

    /// Makes the logins those that `declarations` say. What did not change is left alone.
    pub fn reconcile(&mut self, declarations: Vec<Declaration>, now: Timestamp, events: &Events) {
        let mut kept = BTreeMap::new();
        for declaration in declarations {
            let server = declaration.server.name().to_owned();
            let record = match self.records.remove(&server) {
                Some(mut record) if record.login.declaration.is_same_login(&declaration) => {
                    record.login.declaration = declaration;
                    record
                }
                previous => {
                    let what = if previous.is_some() { "changed" } else { "added" };
                    events.note(now, what, &server, format!("declared by {}", declaration.source));
                    self.begin(declaration, previous.map_or(0, |old| old.generation + 1), now)
                }
            };
            kept.insert(server, record);
        }
        for server in self.records.keys() {
            events.note(now, "removed", server, "no longer declared".to_owned());
        }
        self.records = kept;
        let Self { records, exchanges, .. } = self;
        exchanges.retain(|key, _| records.values().any(|r| r.exchange.as_ref() == Some(key)));
        // What no source brought back by now is not coming back.
        self.left_logins.clear();
        self.left_tokens.clear();
    }

    fn begin(&mut self, declaration: Declaration, generation: u64, now: Timestamp) -> Record {
        let left = self
            .left_logins
            .remove(declaration.server.name())
            .filter(|left| left.fingerprint == declaration.fingerprint());
        let exchange = match &declaration.identity {
            Identity::Aws(identity) => ExchangeKey::of(declaration.server.kind(), identity),
            Identity::Password { .. } => None,
        };
        let mut login = Login::begin(declaration);
        let mut unseen = login.credential.is_some() && login.standing == Standing::Pending;
        if let Some(key) = &exchange {
            let remembered = self.left_tokens.remove(&exchanges::fingerprint(key));
            let exchange = self.exchanges.entry(key.clone()).or_insert_with(|| {
                remembered.as_ref().map_or_else(|| Exchange::new(now), Exchange::resumed)
            });
            if let Some((credential, remark)) = &exchange.token {
                login.exchanged(credential.clone(), remark.clone());
                unseen = true;
            }
        }
        if let Some(left) = left
            && login.standing == Standing::Pending
        {
            login.standing = left.standing;
            login.reason = left.reason;
            login.verified_at = left.verified_at;
            login.due = left.due;
            login.failures = left.failures;
            unseen &= left.standing == Standing::Pending;
        }
        if unseen && !self.verify {
            login.not_asked();
            unseen = false;
        }
        Record { login, exchange, generation, verifying: false, unseen, dead: false }
    }

    /// The exchanges to be made now; they count as under way from here on.
    pub fn due_exchanges(&mut self, now: Timestamp) -> Vec<ExchangeKey> {
        let mut due = Vec::new();
        for (key, exchange) in &mut self.exchanges {
            if !exchange.busy && exchange.due <= now {
                exchange.busy = true;
                due.push(key.clone());
            }
        }
        due
    }

    /// The verifications to be made now; they count as under way from here on.
    pub fn due_verifications(&mut self, now: Timestamp) -> Vec<Verification> {
        let mut due = Vec::new();
        for record in self.records.values_mut() {
            let Some(credential) = &record.login.credential else { continue };
            let asks = record.unseen || record.login.due.is_some_and(|due| due <= now);
            if record.verifying || !asks {
                continue;
            }
            record.verifying = true;
            record.unseen = false;
            due.push(Verification {
                server: record.login.declaration.server.clone(),
                credential: credential.clone(),
                ca_file: record.login.declaration.ca_file.clone(),
                generation: record.generation,
            });
        }
        due
    }

    /// AWS has answered.
    pub fn exchanged(
        &mut self,
        key: &ExchangeKey,
        result: Result<Token, Refusal>,
        now: Timestamp,
        events: &Events,
    ) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        match result {
            Ok(token) => exchange.succeeded(token, now),
            Err(refusal) => exchange.failed(refusal, now),
        }
        for (server, record) in &mut self.records {
            if record.exchange.as_ref() != Some(key) {
                continue;
            }
            if let Some((outcome, reason)) = &exchange.failure {
                events.note(now, "exchange-failed", server, reason.to_string());
                record.login.exchange_failed(*outcome, reason.clone(), now);
            } else if let Some((credential, remark)) = &exchange.token {
                events.note(now, "exchanged", server, "AWS gave a new token".to_owned());
                record.generation += 1;
                record.verifying = false;
                record.unseen = self.verify;
                record.login.exchanged(credential.clone(), remark.clone());
                if !self.verify {
                    record.login.not_asked();
                }
            }
        }
    }

    /// A registry has answered about a generation of a login.
    pub fn verified(
        &mut self,
        server: &str,
        generation: u64,
        verdict: Verdict,
        now: Timestamp,
        events: &Events,
    ) {
        let Some(record) = self.records.get_mut(server) else { return };
        if record.generation != generation {
            return;
        }
        record.verifying = false;
        let before = record.login.state(now);
        let refused = verdict.outcome == Outcome::Rejected;
        record.login.verified(verdict, now, fastrand::f64());
        let after = record.login.state(now);
        if after != before {
            let why = record.login.reason.as_ref().map_or_else(String::new, |r| format!(": {r}"));
            events.note(now, after.word(), server, format!("was {}{why}", before.word()));
        }
        if refused
            && let Some(key) = &record.exchange
            && let Some(exchange) = self.exchanges.get_mut(key)
        {
            exchange.disowned(record.login.failures, now);
        }
    }

    /// Makes the exchange and the verification of one server, or of all, due at `now`.
    pub fn make_due(&mut self, server: Option<&str>, now: Timestamp) {
        for (name, record) in &mut self.records {
            if server.is_some_and(|server| server != name) {
                continue;
            }
            if let Some(exchange) =
                record.exchange.as_ref().and_then(|key| self.exchanges.get_mut(key))
            {
                exchange.due = now;
            } else if self.verify && record.login.standing != Standing::Judged(Outcome::Invalid) {
                record.login.due = Some(now);
            }
        }
    }

    /// The clock of this machine was set back by `by`.
    pub fn set_back(&mut self, by: SignedDuration) {
        for exchange in self.exchanges.values_mut() {
            exchange.set_back(by);
        }
        for record in self.records.values_mut() {
            let token = record.exchange.as_ref().and_then(|key| self.exchanges.get(key));
            if let Some((credential, _)) = token.and_then(|exchange| exchange.token.as_ref()) {
                record.login.credential = Some(credential.clone());
            }
            record.login.due = record.login.due.and_then(|due| due.checked_sub(by).ok());
        }
    }

    /// When something is due next, or a state changes by itself after `now`.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let exchanges = self.exchanges.values().filter(|e| !e.busy).map(|e| e.due);
        let logins = self
            .records
            .values()
            .filter(|r| !r.verifying && r.login.credential.is_some())
            .filter_map(|r| r.login.due);
        let ends = self.records.values().flat_map(|r| r.login.turns_at()).filter(|at| *at > now);
        exchanges.chain(logins).chain(ends).min()
    }

    /// The names and fingerprints of what is declared.
    pub fn declared(&self) -> BTreeMap<String, u64> {
        self.records
            .values()
            .filter(|record| !record.login.is_stored())
            .map(|record| {
                let declaration = &record.login.declaration;
                (declaration.name.clone(), declaration.fingerprint())
            })
            .collect()
    }

    /// What differs from what was declared before.
    pub fn difference_to(&self, before: &BTreeMap<String, u64>) -> Difference {
        difference::between(before, &self.declared())
    }

    /// The logins.
    pub fn logins(&self) -> impl Iterator<Item = &Login> {
        self.records.values().map(|record| &record.login)
    }

    /// The logins as they are shown.
    pub fn entries(&self) -> BTreeMap<String, Arc<Entry>> {
        let entry = |record: &Record| {
            let exchange = record.exchange.as_ref().and_then(|key| self.exchanges.get(key));
            Arc::new(Entry {
                login: record.login.clone(),
                busy: record.verifying || exchange.is_some_and(|exchange| exchange.busy),
                due: [exchange.map(|exchange| exchange.due), record.login.due]
                    .into_iter()
                    .flatten()
                    .filter(|due| *due < Timestamp::MAX)
                    .min(),
            })
        };
        self.records.iter().map(|(server, record)| (server.clone(), entry(record))).collect()
    }

    /// What the docker configuration should hold: the keys of every login, whatever its state, or
    /// the credentials that are served.
    pub fn wanted(&self, mode: Mode, now: Timestamp) -> Wanted {
        let mut wanted = Wanted::default();
        for login in self.logins() {
            for key in login.declaration.server.keys() {
                match (mode, login.served(now)) {
                    (Mode::Helper, _) => {
                        wanted.helpers.insert(key);
                    }
                    (Mode::Auths, Some(credential)) => {
                        wanted.auths.insert(key, credential.clone());
                    }
                    (Mode::Auths, None) => {}
                }
            }
        }
        wanted
    }

    /// Problems of the logins themselves: tokens that were pasted in and are about to die.
    pub fn problems(&self, now: Timestamp) -> Vec<Problem> {
        self.logins().filter_map(|login| login.problem(now)).collect()
    }

    /// Puts what the next agent needs into `memory`.
    pub fn remember(&self, memory: &mut Memory) {
        memory.logins = self
            .records
            .iter()
            .map(|(server, record)| (server.clone(), RememberedLogin::of(&record.login)))
            .collect();
        memory.tokens = self
            .exchanges
            .iter()
            .filter_map(|(key, exchange)| {
                let (credential, _) = exchange.token.as_ref()?;
                let remembered = RememberedToken::of(credential, exchange.due);
                Some((exchanges::fingerprint(key), remembered))
            })
            .collect();
    }

    /// Notes the tokens that have come to their end.
    pub fn note_ends(&mut self, now: Timestamp, events: &Events) {
        for (server, record) in &mut self.records {
            let dead = record.login.state(now) == State::Expired;
            if dead && !record.dead {
                events.note(now, "expired", server, "the token is dead".to_owned());
            }
            record.dead = dead;
        }
    }
}
