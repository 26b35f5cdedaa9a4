//! What is due: the exchanges and verifications to start now, and what makes them due early.

use jiff::{SignedDuration, Timestamp};

use super::LoginStore;
use crate::agent::command::RefreshRequest;
use crate::agent::login_entry::VerificationState;
use crate::agent::workers::Verification;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::credentials::login::{LastVerdict, State};
use crate::domain::registry_protocol::verdict::Outcome;

impl LoginStore {
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
        let Self { due_queue, entries, .. } = self;
        due_queue.mark_due_as_changed(now);
        let mut due = Vec::new();
        for server in due_queue.changed() {
            let Some(entry) = entries.get_mut(server) else { continue };
            let Some(credential) = &entry.login.credential else { continue };
            if !entry.verification_is_due(now) {
                continue;
            }
            entry.verification = VerificationState::UnderWay;
            due.push(Verification {
                server: entry.login.declaration.server.clone(),
                credential: credential.clone(),
                auth_scheme: entry.login.declaration.auth_scheme,
                ca_file: entry.login.declaration.ca_file.clone(),
                generation: entry.generation,
            });
        }
        due
    }

    /// Makes the exchanges and verifications that `request` selects due at `now`.
    pub fn make_due(&mut self, request: &RefreshRequest, now: Timestamp) {
        for (name, entry) in &mut self.entries {
            let selected = request.servers.as_ref().is_none_or(|servers| servers.contains(&**name));
            let refused = matches!(entry.login.state(now), State::Rejected | State::RateLimited);
            if !selected || (refused && request.except_refused) {
                continue;
            }
            self.due_queue.mark_changed(name);
            if let Some(exchange) =
                entry.exchange.as_ref().and_then(|key| self.exchanges.get_mut(key))
            {
                exchange.due = now;
            } else if self.verify {
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
        for (server, entry) in &mut self.entries {
            let is_unreachable =
                entry.login.last_verdict == LastVerdict::Judged(Outcome::Unreachable);
            if is_unreachable && entry.login.due.is_some() {
                entry.login.due = Some(now);
            }
            self.due_queue.mark_changed(server);
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
        for (server, entry) in &mut self.entries {
            let token = entry.exchange.as_ref().and_then(|key| self.exchanges.get(key));
            if let Some((credential, _)) = token.and_then(|exchange| exchange.token.as_ref()) {
                entry.login.credential = Some(credential.clone());
            }
            entry.login.due = entry.login.due.and_then(|due| due.checked_sub(by).ok());
            self.due_queue.mark_changed(server);
        }
    }

    /// The next time at which something is due or a state changes by itself, as of the last
    /// publication.
    pub fn next_due(&self) -> Option<Timestamp> {
        let exchanges = self.exchanges.values().filter(|e| !e.busy).map(|e| e.due);
        exchanges.chain(self.due_queue.next()).min()
    }
}
