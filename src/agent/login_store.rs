//! The logins and the tokens they use: desired and actual state, and when each is due.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::events::Events;
use super::exchanges::{self, Exchange, Exchanges};
use super::login_entry::{LoginEntry, VerificationState};
use super::view::Entry;
use super::workers::Verification;
use crate::adapters::aws::{ExchangeFailure, Token};
use crate::adapters::config::Mode;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::credentials::login::{LastVerdict, Login, State};
use crate::domain::declarations::changes::{self, Difference};
use crate::domain::declarations::declaration::{Declaration, Identity};
use crate::domain::declarations::source::Variables;
use crate::domain::docker_config::Wanted;
use crate::domain::reasons::problem::Problem;
use crate::domain::registry_protocol::verdict::{Outcome, Verdict};
use crate::wire::handoff::{SavedLogin, SavedState, SavedToken};

/// The logins as published, by canonical server. Unchanged ones are shared.
pub type ShownLogins = BTreeMap<Arc<str>, Arc<Entry>>;

/// All logins.
pub struct LoginStore {
    entries: BTreeMap<Arc<str>, LoginEntry>,
    exchanges: Exchanges,
    shown: ShownLogins,
    /// Increases with each credential of any login, so that every generation is unique.
    last_generation: u64,
    verify: bool,
    restored_logins: BTreeMap<String, SavedLogin>,
    restored_tokens: BTreeMap<u64, SavedToken>,
}

impl LoginStore {
    /// An empty store. State in `memory` from the previous agent is restored as declarations
    /// appear.
    pub fn new(memory: &mut SavedState, verify: bool) -> Self {
        Self {
            entries: BTreeMap::new(),
            exchanges: HashMap::new(),
            shown: ShownLogins::new(),
            last_generation: 0,
            verify,
            restored_logins: std::mem::take(&mut memory.logins),
            restored_tokens: std::mem::take(&mut memory.tokens),
        }
    }

    /// Updates the logins to match `declarations`. Unchanged logins are left alone.
    pub fn reconcile(
        &mut self,
        declarations: Vec<Declaration>,
        environment: &Variables,
        now: Timestamp,
        events: &Events,
    ) {
        let mut kept = BTreeMap::new();
        for declaration in declarations {
            let exchange = match &declaration.identity {
                Identity::Aws(identity) => {
                    ExchangeKey::of(declaration.server.kind(), identity, environment)
                }
                Identity::Password { .. } => None,
            };
            let previous = self.entries.remove_entry(declaration.server.name());
            let (server, previous) = match previous {
                Some((server, entry)) => (server, Some(entry)),
                None => (Arc::from(declaration.server.name()), None),
            };
            let entry = match previous {
                Some(mut entry)
                    if entry.login.declaration.is_same_login(&declaration)
                        && entry.exchange == exchange =>
                {
                    entry.changed |= entry.login.declaration != declaration;
                    entry.login.declaration = declaration;
                    entry
                }
                previous => {
                    let what = if previous.is_some() { "changed" } else { "added" };
                    let fingerprint = declaration.fingerprint();
                    let restored = self.restored_logins.get(&*server);
                    if restored.is_none_or(|restored| restored.fingerprint != fingerprint) {
                        let detail = format!("{server} was {what} by {}", declaration.source);
                        events.record(now, what, &server, detail);
                    }
                    let mut entry = self.begin(declaration, exchange, now);
                    if let Some(mut previous) = previous {
                        previous.remember_credential(now);
                        entry.replaced = previous.replaced;
                    }
                    entry
                }
            };
            kept.insert(server, entry);
        }
        for server in self.entries.keys() {
            events.record(now, "removed", server, format!("{server} is no longer declared"));
            self.shown.remove(server);
        }
        self.entries = kept;
        let Self { entries, exchanges, .. } = self;
        exchanges.retain(|key, _| entries.values().any(|r| r.exchange.as_ref() == Some(key)));
        // A login that no source has declared by now is not coming back.
        self.restored_logins.clear();
        self.restored_tokens.clear();
    }

    fn begin(
        &mut self,
        declaration: Declaration,
        exchange: Option<ExchangeKey>,
        now: Timestamp,
    ) -> LoginEntry {
        let restored = self.restored_logins.remove(declaration.server.name());
        let token = exchange.as_ref().and_then(|key| {
            let saved = self.restored_tokens.remove(&exchanges::fingerprint(key));
            let exchange = self.exchanges.entry(key.clone()).or_insert_with(|| {
                saved.as_ref().map_or_else(|| Exchange::new(now), Exchange::resumed)
            });
            if exchange.failure.is_some() && !exchange.busy {
                // A new login is tried at once, whatever became of those that share its exchange.
                exchange.due = now;
            }
            exchange.token.clone()
        });
        self.last_generation += 1;
        let mut entry = LoginEntry::begin(declaration, token, restored, self.verify);
        entry.exchange = exchange;
        entry.generation = self.last_generation;
        entry
    }

    /// The exchanges due now. They count as running from here on.
    pub fn due_exchanges(&mut self, now: Timestamp) -> Vec<ExchangeKey> {
        let mut due = Vec::new();
        for (key, exchange) in &mut self.exchanges {
            if !exchange.busy && exchange.due <= now {
                exchange.busy = true;
                due.push(key.clone());
            }
        }
        for key in &due {
            self.exchange_changed(key);
        }
        due
    }

    /// The verifications due now. They count as running from here on.
    pub fn due_verifications(&mut self, now: Timestamp) -> Vec<Verification> {
        let mut due = Vec::new();
        for entry in self.entries.values_mut() {
            let Some(credential) = &entry.login.credential else { continue };
            if !entry.verification_is_due(now) {
                continue;
            }
            entry.verification = VerificationState::UnderWay;
            entry.changed = true;
            due.push(Verification {
                server: entry.login.declaration.server.clone(),
                credential: credential.clone(),
                ca_file: entry.login.declaration.ca_file.clone(),
                generation: entry.generation,
            });
        }
        due
    }

    /// Records the result of an exchange.
    pub fn exchanged(
        &mut self,
        key: &ExchangeKey,
        result: Result<Token, ExchangeFailure>,
        now: Timestamp,
        events: &Events,
    ) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        match result {
            Ok(token) => exchange.succeeded(token, now),
            Err(refusal) => exchange.failed(refusal, now),
        }
        for (server, entry) in &mut self.entries {
            if entry.exchange.as_ref() != Some(key) {
                continue;
            }
            entry.changed = true;
            if let Some((outcome, reason)) = &exchange.failure {
                let detail = format!("no token for {server}: {reason}");
                events.record(now, "exchange-failed", server, detail);
                entry.login.exchange_failed(*outcome, reason.clone(), now);
            } else if let Some((credential, remark)) = &exchange.token {
                let detail = format!("AWS issued a new token for {server}");
                events.record(now, "exchanged", server, detail);
                self.last_generation += 1;
                entry.generation = self.last_generation;
                entry.remember_credential(now);
                entry.verification = VerificationState::needed(self.verify);
                entry.login.exchanged(credential.clone(), remark.clone());
                if !self.verify {
                    entry.login.not_asked();
                }
            }
        }
    }

    /// Records a registry's verdict on one generation of a login.
    pub fn verified(
        &mut self,
        server: &str,
        generation: u64,
        verdict: Verdict,
        now: Timestamp,
        events: &Events,
    ) {
        let Some(entry) = self.entries.get_mut(server) else { return };
        if entry.generation != generation {
            return;
        }
        entry.verification = VerificationState::Idle;
        entry.changed = true;
        let before = entry.login.state(now);
        let refused = verdict.outcome == Outcome::Rejected;
        entry.login.verified(verdict, now, fastrand::f64());
        let after = entry.login.state(now);
        if after != before {
            let why = entry.login.reason.as_ref().map_or_else(String::new, |r| format!(": {r}"));
            let (is, was) = (after.as_str(), before.as_str());
            events.record(now, is, server, format!("{server} is {is} (was {was}){why}"));
        }
        if refused
            && let Some(key) = &entry.exchange
            && let Some(exchange) = self.exchanges.get_mut(key)
        {
            exchange.rejected_by_registry(entry.login.failures, now);
            let key = key.clone();
            self.exchange_changed(&key);
        }
    }

    /// Makes the exchange and the verification of one server, or of all, due at `now`.
    pub fn make_due(&mut self, server: Option<&str>, now: Timestamp) {
        for (name, entry) in &mut self.entries {
            if server.is_some_and(|server| server != &**name) {
                continue;
            }
            entry.changed = true;
            if let Some(exchange) =
                entry.exchange.as_ref().and_then(|key| self.exchanges.get_mut(key))
            {
                exchange.due = now;
            } else if self.verify
                && entry.login.last_verdict != LastVerdict::Judged(Outcome::Invalid)
            {
                entry.login.due = Some(now);
            }
        }
    }

    /// Makes failed requests due at `now`, because a change of proxies, certificates or AWS
    /// settings may have fixed them.
    pub fn retry_failed(&mut self, now: Timestamp) {
        for exchange in self.exchanges.values_mut().filter(|exchange| exchange.failure.is_some()) {
            exchange.due = now;
        }
        for entry in self.entries.values_mut() {
            entry.changed |= entry.exchange.is_some();
            if entry.login.last_verdict == LastVerdict::Judged(Outcome::Unreachable)
                && entry.login.due.is_some()
            {
                entry.login.due = Some(now);
                entry.changed = true;
            }
        }
    }

    /// A client needs a token of `server`: a failed attempt is repeated now instead of when it is
    /// due, unless it failed a moment ago.
    pub fn retry_on_demand(&mut self, server: &str, now: Timestamp) {
        let key = self.entries.get(server).and_then(|entry| entry.exchange.as_ref());
        if let Some(exchange) = key.and_then(|key| self.exchanges.get_mut(key))
            && exchange.retry_on_demand_at().is_some_and(|at| at <= now)
        {
            exchange.due = exchange.due.min(now);
        }
    }

    /// Adjusts the times after the clock of this machine was set back by `by`.
    pub fn set_back(&mut self, by: SignedDuration) {
        for exchange in self.exchanges.values_mut() {
            exchange.set_back(by);
        }
        for entry in self.entries.values_mut() {
            let token = entry.exchange.as_ref().and_then(|key| self.exchanges.get(key));
            if let Some((credential, _)) = token.and_then(|exchange| exchange.token.as_ref()) {
                entry.login.credential = Some(credential.clone());
            }
            entry.login.due = entry.login.due.and_then(|due| due.checked_sub(by).ok());
            entry.changed = true;
        }
    }

    /// The next time after `now` at which something is due or a state changes by itself.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let exchanges = self.exchanges.values().filter(|e| !e.busy).map(|e| e.due);
        let logins = self
            .entries
            .values()
            .filter(|r| !r.is_verified_now() && r.login.credential.is_some())
            .filter_map(|r| r.login.due);
        let ends = self.entries.values().flat_map(|r| r.login.changes_at()).filter(|at| *at > now);
        exchanges.chain(logins).chain(ends).min()
    }

    /// The names and fingerprints of all declarations.
    pub fn declared(&self) -> BTreeMap<String, u64> {
        self.entries
            .values()
            .filter(|entry| !entry.login.is_stored())
            .map(|entry| {
                let declaration = &entry.login.declaration;
                (declaration.name.clone(), entry.fingerprint)
            })
            .collect()
    }

    /// How the declarations differ from those in `before`.
    pub fn difference_to(&self, before: &BTreeMap<String, u64>) -> Difference {
        changes::between(before, &self.declared())
    }

    /// The logins.
    pub fn logins(&self) -> impl Iterator<Item = &Login> {
        self.entries.values().map(|entry| &entry.login)
    }

    /// The logins as published. Only changed ones are rebuilt.
    pub fn shown(&mut self) -> ShownLogins {
        for (server, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.changed) {
            let exchange = entry.exchange.as_ref().and_then(|key| self.exchanges.get(key));
            self.shown.insert(server.clone(), Arc::new(entry.shown(exchange)));
            entry.changed = false;
        }
        self.shown.clone()
    }

    fn exchange_changed(&mut self, key: &ExchangeKey) {
        for entry in self.entries.values_mut() {
            entry.changed |= entry.exchange.as_ref() == Some(key);
        }
    }

    /// What the docker configuration should contain, depending on `mode`: the keys of all logins in
    /// any state, or the credentials that are served.
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

    /// Problems of the logins themselves: declared tokens that are about to expire and cannot be
    /// renewed.
    pub fn problems(&self, now: Timestamp) -> Vec<Problem> {
        self.logins().filter_map(|login| login.problem(now)).collect()
    }

    /// Saves the state that the next agent needs into `memory`.
    pub fn save_into(&self, memory: &mut SavedState) {
        memory.logins = self
            .entries
            .iter()
            .map(|(server, entry)| {
                let saved = SavedLogin::of(&entry.login, entry.fingerprint, &entry.replaced);
                (server.to_string(), saved)
            })
            .collect();
        memory.tokens = self
            .exchanges
            .iter()
            .filter_map(|(key, exchange)| {
                let (credential, _) = exchange.token.as_ref()?;
                let remembered = SavedToken::of(credential, exchange.due);
                Some((exchanges::fingerprint(key), remembered))
            })
            .collect();
    }

    /// Records an event for each token that has expired.
    pub fn note_ends(&mut self, now: Timestamp, events: &Events) {
        for (server, entry) in &mut self.entries {
            let expiry_recorded = entry.login.state(now) == State::Expired;
            if expiry_recorded && !entry.expiry_recorded {
                events.record(now, "expired", server, format!("the token of {server} expired"));
            }
            entry.expiry_recorded = expiry_recorded;
        }
    }
}
