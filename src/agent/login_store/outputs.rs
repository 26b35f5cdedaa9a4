//! What others see of the logins: the view, the docker configuration and the next agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{LoginStore, ShownLogins};
use crate::adapters::config::Mode;
use crate::agent::events::Events;
use crate::agent::exchanges;
use crate::domain::client_files::WantedClientFiles;
use crate::domain::credentials::login::State;
use crate::domain::declarations::discovery::AMBIENT_NAME;
use crate::domain::docker_config::Wanted;
use crate::wire::handoff::{SavedLogin, SavedState, SavedToken};

impl LoginStore {
    /// Updates the logins in `shown` that changed since the last call, records each token that
    /// expired, and returns what the next agent needs of those logins.
    pub fn publish(
        &mut self,
        shown: &mut ShownLogins,
        now: Timestamp,
        events: &Events,
    ) -> BTreeMap<String, SavedLogin> {
        let mut saved = BTreeMap::new();
        for server in self.due_queue.take_changed() {
            let Some(entry) = self.entries.get_mut(&server) else {
                shown.remove(&server);
                self.due_queue.schedule(&server, None);
                continue;
            };
            if entry.has_just_expired(now) {
                events.record(now, "expired", &server, format!("the token of {server} expired"));
            }
            self.served_changed |= entry.serves_something_else(now);
            let exchange = entry.exchange.as_ref().and_then(|key| self.exchanges.get(key));
            shown.insert(server.clone(), Arc::new(entry.shown(exchange)));
            self.due_queue.schedule(&server, entry.next_due(now));
            saved.insert(server.to_string(), entry.saved());
        }
        saved
    }

    /// Whether other credentials are served than when this was asked last.
    pub fn take_served_changed(&mut self) -> bool {
        std::mem::take(&mut self.served_changed)
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

    /// What the files of package clients should contain. A pending login is in them, because the helper waits
    /// for it: otherwise, a client would have to wait for the files. The login of `GITHUB_TOKEN` is not in `.npmrc`:
    /// pnpm would prefer it to the token in a project's own `.npmrc`.
    pub fn wanted_client_files(&self, now: Timestamp) -> WantedClientFiles {
        let mut wanted = WantedClientFiles::default();
        for login in self.logins() {
            let is_ambient = login.declaration.called() == Some(AMBIENT_NAME);
            if let Some(server) = login.declaration.server.package() {
                let is_usable = login.served(now).is_some() || login.state(now) == State::Pending;
                wanted.add(server, is_usable && !is_ambient);
            }
        }
        wanted
    }

    /// Adds what the next agent needs of the logins to `state`.
    pub fn save_into(&self, state: &mut SavedState) {
        state.logins = self
            .entries
            .iter()
            .map(|(server, entry)| (server.to_string(), entry.saved()))
            .collect();
        state.tokens = self
            .exchanges
            .iter()
            .filter_map(|(key, exchange)| {
                let (credential, _) = exchange.token.as_ref()?;
                let saved = SavedToken::of(credential, exchange.due);
                Some((exchanges::fingerprint(key), saved))
            })
            .collect();
    }
}
