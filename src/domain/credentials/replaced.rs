//! Remembers credentials that were recently replaced.
//!
//! After each login docker stores the credential that the helper gave it. If the credential was
//! replaced in between, docker stores an old credential of the agent, which must not count as a
//! login of the user.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::credential::Credential;

/// How long after its replacement a client may send back a credential.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// How many are remembered for one login.
const CAPACITY: usize = 16;

/// A credential that was replaced; only its digest is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedCredential {
    digest: u64,
    at: Timestamp,
}

/// Adds `credential`, replaced at `now`, and removes those that are too old.
pub fn remember(replaced: &mut Vec<ReplacedCredential>, credential: &Credential, now: Timestamp) {
    let digest = digest(&credential.user, credential.secret.reveal());
    replaced.retain(|known| known.digest != digest && known.is_recent(now));
    if replaced.len() == CAPACITY {
        replaced.remove(0);
    }
    replaced.push(ReplacedCredential { digest, at: now });
}

/// Whether this user and secret were replaced recently.
pub fn contains(replaced: &[ReplacedCredential], user: &str, secret: &str, now: Timestamp) -> bool {
    let digest = digest(user, secret);
    replaced.iter().any(|known| known.digest == digest && known.is_recent(now))
}

impl ReplacedCredential {
    fn is_recent(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) < WINDOW
    }
}

fn digest(user: &str, secret: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (user, secret).hash(&mut hasher);
    hasher.finish()
}
