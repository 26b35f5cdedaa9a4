//! Credentials that were replaced a short while ago.
//!
//! After each login docker stores what the helper gave it. When the credential was replaced in
//! between, that is an old credential of the agent's, and not a login of the user's own.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::credential::Credential;

/// How long a client may take to bring a credential back.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// How many are remembered for one login.
const CAPACITY: usize = 16;

/// A credential that another one has replaced; only its digest is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedCredential {
    digest: u64,
    at: Timestamp,
}

/// Adds `credential`, which is replaced at `now`, and forgets those that are too old.
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
