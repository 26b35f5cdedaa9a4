//! Rechecks the lock and the socket after a change, and recreates them if they were removed.

use std::time::{Duration, Instant};

use tracing::warn;

use crate::adapters::endpoint::Endpoint;
use crate::adapters::lock::LockError;
use crate::agent::running_agent::Inherited;

/// The kernel reports the files of a directory that is removed, but not the directory itself while
/// it is open. It disappears a moment later. The first recheck comes after this pause, which doubles.
const FIRST_RECHECK: Duration = Duration::from_millis(1);
/// The pause before the last of these rechecks, and between attempts to recreate what was removed.
pub(super) const LAST_RECHECK: Duration = Duration::from_millis(512);

/// When the lock and the socket are checked next.
pub(super) struct Recheck {
    due: Option<Instant>,
    pause: Duration,
    is_failing: bool,
}

/// What a recheck found or did.
pub(super) enum RestoreOutcome {
    InPlace,
    Recreated,
    /// Another agent holds the lock.
    Displaced,
}

impl Recheck {
    /// The first check is due at once: files may have been removed before anything watched them.
    pub(super) fn new() -> Self {
        Self { due: Some(Instant::now()), pause: FIRST_RECHECK, is_failing: false }
    }

    /// When the next check is due; `None` if nothing has changed for a while.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Recreates what was removed. After a change, rechecks for a while.
    pub(super) fn restore(
        &mut self,
        has_changed: bool,
        endpoint: &mut Endpoint,
        inherited: &mut Inherited,
    ) -> RestoreOutcome {
        endpoint.forget_changes();
        self.pause = if has_changed { FIRST_RECHECK } else { self.pause * 2 };
        let restored = endpoint.restore(&mut inherited.lock, &mut inherited.listener);
        if let Err(error) = &restored {
            if !self.is_failing {
                warn!("the socket or the lock cannot be recreated: {error}; retrying");
            }
            self.pause = self.pause.min(LAST_RECHECK);
        }
        self.is_failing = restored.is_err();
        let again = self.pause <= LAST_RECHECK;
        self.due = again.then(|| Instant::now() + self.pause);
        match restored {
            Ok(true) => {
                warn!("the socket or the lock was removed; recreated");
                RestoreOutcome::Recreated
            }
            // A command holds the lock for a moment, an agent for longer.
            Err(LockError::Held(_)) if self.pause == LAST_RECHECK => RestoreOutcome::Displaced,
            Ok(false) | Err(_) => RestoreOutcome::InPlace,
        }
    }
}
