//! How many connections the agent accepts: other users cannot use up what the agent's user and root
//! need.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peer::Peer;

/// The maximum for the agent's user and root.
const TRUSTED: usize = 4096;
/// The maximum for all other users together.
const OTHERS: usize = 128;
/// The maximum for one other user.
const PER_OTHER: usize = 32;

/// The limits, and the connections that count towards them.
pub struct ConnectionLimits {
    trusted: Arc<Semaphore>,
    others: Arc<Semaphore>,
    /// The other users that are connected.
    by_uid: BTreeMap<Option<u32>, Arc<Semaphore>>,
}

/// A connection that counts until this is dropped.
pub struct ConnectionSlot {
    _all: OwnedSemaphorePermit,
    _of_uid: Option<OwnedSemaphorePermit>,
}

impl ConnectionLimits {
    /// Limits for a process that may open `descriptors` files and sockets. A part of them is left for
    /// everything else.
    pub fn for_descriptors(descriptors: usize) -> Self {
        Self {
            trusted: Arc::new(Semaphore::new(TRUSTED.min(descriptors / 2))),
            others: Arc::new(Semaphore::new(OTHERS.min(descriptors / 8))),
            by_uid: BTreeMap::new(),
        }
    }

    /// A connection of the agent's user or of root. Waits until one of theirs ends if they have too
    /// many.
    pub async fn trusted(&self) -> Option<ConnectionSlot> {
        let all = self.trusted.clone().acquire_owned().await.ok()?;
        Some(ConnectionSlot { _all: all, _of_uid: None })
    }

    /// A connection of another user; `None` if there are too many.
    pub fn other(&mut self, peer: Peer) -> Option<ConnectionSlot> {
        self.by_uid.retain(|_, connections| connections.available_permits() < PER_OTHER);
        let of_uid = self.by_uid.entry(peer.uid);
        let of_uid = of_uid.or_insert_with(|| Arc::new(Semaphore::new(PER_OTHER))).clone();
        Some(ConnectionSlot {
            _of_uid: Some(of_uid.try_acquire_owned().ok()?),
            _all: self.others.clone().try_acquire_owned().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(limits: &mut ConnectionLimits, uid: u32, count: usize) -> Vec<ConnectionSlot> {
        (0..count).filter_map(|_| limits.other(Peer { uid: Some(uid) })).collect()
    }

    #[tokio::test]
    async fn other_users_are_limited_each_and_together_and_take_nothing_from_the_owner() {
        let mut limits = ConnectionLimits::for_descriptors(65_536);
        let all: Vec<Vec<_>> = (1..=100).map(|uid| open(&mut limits, uid, 1000)).collect();
        assert_eq!(all[0].len(), PER_OTHER);
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), OTHERS);
        for _ in 0..2 {
            assert!(limits.trusted().await.is_some());
        }
    }

    #[test]
    fn a_connection_that_ends_makes_room_for_another() {
        let mut limits = ConnectionLimits::for_descriptors(65_536);
        let first = open(&mut limits, 1, PER_OTHER);
        assert!(open(&mut limits, 1, 1).is_empty());
        drop(first);
        assert_eq!(open(&mut limits, 1, 1000).len(), PER_OTHER);
        assert_eq!(limits.by_uid.len(), 1);
    }

    #[test]
    fn few_descriptors_are_not_used_up() {
        let mut limits = ConnectionLimits::for_descriptors(64);
        assert_eq!(open(&mut limits, 1, 1000).len(), 8);
        assert_eq!(limits.trusted.available_permits(), 32);
    }
}
