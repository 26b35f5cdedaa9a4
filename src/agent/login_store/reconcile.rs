//! Makes the logins match what is declared.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::LoginStore;
use crate::agent::events::Events;
use crate::agent::exchanges::{self, Exchange};
use crate::agent::login_entry::LoginEntry;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::declarations::declaration::{Declaration, Identity};
use crate::domain::declarations::source::Variables;

impl LoginStore {
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
                    if entry.login.declaration != declaration {
                        self.agenda.note_change(&server);
                        entry.login.declaration = declaration;
                    }
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
                    self.agenda.note_change(&server);
                    entry
                }
            };
            kept.insert(server, entry);
        }
        for server in self.entries.keys() {
            events.record(now, "removed", server, format!("{server} is no longer declared"));
            self.agenda.note_change(server);
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
}
