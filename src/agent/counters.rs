//! Counts what the agent has done since it started, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A metric that counts events by one label.
pub struct CounterFamily {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// The label.
    pub label: &'static str,
    /// The values of the label. All of them are shown from the start, as `0`.
    pub values: &'static [&'static str],
}

/// Exchanges of an AWS identity for a token.
pub const EXCHANGES: CounterFamily = CounterFamily {
    name: "registry_agent_exchanges_total",
    help: "Exchanges of an AWS identity for a token.",
    label: "result",
    values: &["success", "failure"],
};
/// Verifications at a registry, by their outcome.
pub const VERIFICATIONS: CounterFamily = CounterFamily {
    name: "registry_agent_verifications_total",
    help: "Verifications of a credential at its registry.",
    label: "result",
    values: &["ready", "unverified", "unreachable", "rate-limited", "rejected", "invalid"],
};
/// Requests for a credential.
pub const CREDENTIALS_SERVED: CounterFamily = CounterFamily {
    name: "registry_agent_credentials_served_total",
    help: "Requests for a credential, by what the agent responded.",
    label: "result",
    values: &["served", "withheld", "unknown"],
};
/// Requests and connections of users that may not make them.
pub const REFUSED_REQUESTS: CounterFamily = CounterFamily {
    name: "registry_agent_requests_refused_total",
    help: "Requests and connections of other users that the agent refused.",
    label: "reason",
    values: &["forbidden", "connections"],
};
/// All families.
pub const FAMILIES: [&CounterFamily; 4] =
    [&EXCHANGES, &VERIFICATIONS, &CREDENTIALS_SERVED, &REFUSED_REQUESTS];

/// The counters of one agent process. Clones share them.
#[derive(Clone, Default)]
pub struct Counters(Arc<Mutex<BTreeMap<(&'static str, &'static str), u64>>>);

impl Counters {
    /// Counts one event. `value` is one of the values of the family's label.
    pub fn count(&self, family: &CounterFamily, value: &'static str) {
        debug_assert!(family.values.contains(&value), "{} has no {value}", family.name);
        *self.lock().entry((family.name, value)).or_default() += 1;
    }

    /// The number of events so far.
    pub fn get(&self, family: &CounterFamily, value: &'static str) -> u64 {
        self.lock().get(&(family.name, value)).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(&'static str, &'static str), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
