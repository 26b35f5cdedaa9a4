//! The logins and the tokens they use: desired and actual state, and when each is due.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::exchanges::Exchanges;
use super::login_entry::LoginEntry;
use super::view::Entry;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::credentials::login::Login;
use crate::domain::declarations::changes::{self, Declared, Difference};
use crate::wire::handoff::{SavedLogin, SavedState, SavedToken};

mod due_queue;
mod due_work;
mod outputs;
mod reconcile;
mod results;

use due_queue::DueQueue;

/// The logins as published, by canonical server. Unchanged ones are shared.
pub type ShownLogins = BTreeMap<Arc<str>, Arc<Entry>>;

/// All logins.
pub struct LoginStore {
    entries: BTreeMap<Arc<str>, LoginEntry>,
    exchanges: Exchanges,
    due_queue: DueQueue,
    /// Whether clients that read plain `auths` are served something else since last asked.
    served_changed: bool,
    /// Increases with each credential of any login, so that every generation is unique.
    last_generation: u64,
    verify: bool,
    restored_logins: BTreeMap<String, SavedLogin>,
    restored_tokens: BTreeMap<u64, SavedToken>,
}

impl LoginStore {
    /// An empty store. The logins in the previous agent's `state` are restored as declarations
    /// appear.
    pub fn new(state: &mut SavedState, verify: bool) -> Self {
        Self {
            entries: BTreeMap::new(),
            exchanges: HashMap::new(),
            due_queue: DueQueue::default(),
            served_changed: false,
            last_generation: 0,
            verify,
            restored_logins: std::mem::take(&mut state.logins),
            restored_tokens: std::mem::take(&mut state.tokens),
        }
    }

    /// The logins.
    pub fn logins(&self) -> impl Iterator<Item = &Login> {
        self.entries.values().map(|entry| &entry.login)
    }

    /// The declarations by name, and a fingerprint of each family's.
    pub fn declared(&self) -> Declared {
        let mut declared = Declared::new();
        for entry in self.entries.values().filter(|entry| !entry.login.is_stored()) {
            let declaration = &entry.login.declaration;
            let set = (declaration.name.clone(), declaration.family());
            // The automatic login has several package registries.
            let fingerprint = declared.entry(set).or_default();
            *fingerprint = fingerprint.wrapping_add(entry.fingerprint);
        }
        declared
    }

    /// How the declarations differ from those in `before`.
    pub fn difference_to(&self, before: &Declared) -> Difference {
        changes::between(before, &self.declared())
    }

    fn exchange_changed(&mut self, key: &ExchangeKey) {
        for (server, entry) in &self.entries {
            if entry.exchange.as_ref() == Some(key) {
                self.due_queue.mark_changed(server);
            }
        }
    }
}
