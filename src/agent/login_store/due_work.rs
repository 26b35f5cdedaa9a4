//! What is due: the exchanges and verifications to start now, and what makes them due early.

use jiff::{SignedDuration, Timestamp};

use super::LoginStore;
use crate::agent::command::RefreshRequest;
use crate::agent::exchanges::Exchange;
use crate::agent::login_entry::{LoginEntry, VerificationState};
use crate::agent::workers::{NetworkChange, Verification};
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

    /// Asks again what could not be reached: whoever runs `sync` may just have repaired it.
    pub fn retry_unreachable(&mut self, now: Timestamp) {
        self.ask_again(
            now,
            |exchange| exchange.failure.as_ref().is_some_and(|it| it.0 == Outcome::Unreachable),
            LoginEntry::is_unreachable,
        );
    }

    /// Asks again what `change` may have repaired or broken. A refused password is not repeated.
    pub fn network_changed(&mut self, change: &NetworkChange, now: Timestamp) {
        self.ask_again(
            now,
            |exchange| exchange.failure.is_some() || exchange.busy,
            |entry| match entry.login.last_verdict {
                LastVerdict::Judged(Outcome::Unreachable) => true,
                LastVerdict::Judged(Outcome::Ready | Outcome::Unverified)
                | LastVerdict::Pending => change.affects(&entry.login.declaration.server),
                LastVerdict::Judged(
                    Outcome::Rejected | Outcome::RateLimited | Outcome::Invalid,
                ) => false,
            },
        );
    }

    /// Starts these exchanges and verifications again. Their logins are pending until there is a
    /// new result.
    fn ask_again(
        &mut self,
        now: Timestamp,
        is_exchange: impl Fn(&Exchange) -> bool,
        is_login: impl Fn(&LoginEntry) -> bool,
    ) {
        for exchange in self.exchanges.values_mut().filter(|exchange| is_exchange(exchange)) {
            exchange.try_again(now);
        }
        for (server, entry) in &mut self.entries {
            if self.verify && is_login(entry) {
                self.last_generation += 1;
                entry.verify_again(self.last_generation, now);
            }
            let exchange = entry.exchange.as_ref().and_then(|key| self.exchanges.get(key));
            // Its result becomes that of the login.
            entry.login.is_verdict_stale |=
                exchange.is_some_and(|it| it.failure.is_some() && is_exchange(it));
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
