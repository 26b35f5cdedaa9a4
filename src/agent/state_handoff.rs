//! Sends the state that must survive the agent to its supervisor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use jiff::{SignedDuration, Timestamp};
use tracing::warn;
use zeroize::Zeroizing;

use super::login_store::LoginStore;
use super::source_set::SourceSet;
use crate::adapters::clock::Clock;
use crate::adapters::handoff::{self, Message};
use crate::wire::handoff::SavedState;

/// The minimum interval between handoffs of state that the next agent could recover without them.
const INTERVAL: SignedDuration = SignedDuration::from_secs(1);

/// Sends states to the supervisor.
pub struct StateHandoff {
    control: OwnedFd,
    last_state: OwnedFd,
    content: Zeroizing<Vec<u8>>,
    due: Option<Timestamp>,
    clock: Clock,
    config: Option<serde_json::Value>,
}

impl StateHandoff {
    /// Sends states over `control`. `last_state` is the state that the previous agent left, and
    /// `config` the configuration in use.
    pub fn new(
        control: OwnedFd,
        last_state: OwnedFd,
        clock: Clock,
        config: Option<serde_json::Value>,
    ) -> Self {
        Self { control, last_state, content: Zeroizing::default(), due: None, clock, config }
    }

    /// Reports that every source has been read and published.
    pub fn ready(&self) {
        if let Err(error) = handoff::send(self.control.as_fd(), &Message::Ready) {
            warn!("the supervisor cannot be told: {error}");
        }
    }

    /// Schedules a handoff after a change that the next agent could recover by itself, such as a
    /// verdict. It happens within a second and includes all changes until then.
    pub fn hand_over_soon(&mut self, now: Timestamp) {
        self.due = self.due.or_else(|| now.checked_add(INTERVAL).ok());
    }

    /// When the next handoff is due.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Hands over the current state if it differs from the last one.
    pub fn hand_over(&mut self, sources: &SourceSet, logins: &LoginStore) {
        self.due = None;
        let mut state = SavedState { config: self.config.clone(), ..SavedState::default() };
        sources.save_into(&mut state);
        logins.save_into(&mut state);
        let content = match serde_json::to_vec(&state) {
            Ok(content) => Zeroizing::new(content),
            Err(error) => return warn!("the state cannot be kept: {error}"),
        };
        if content == self.content {
            return;
        }
        let kept = handoff::create(&content).and_then(|memfd| {
            self.last_state = memfd.try_clone()?;
            handoff::send(self.control.as_fd(), &Message::SaveState(memfd))
        });
        match kept {
            Ok(()) => self.content = content,
            // A supervisor that hangs receives the newest state when it resumes.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.hand_over_soon(self.clock.now());
            }
            Err(error) => warn!("the state cannot be handed to the supervisor: {error}"),
        }
    }

    /// The last state, for when this process becomes the supervisor itself.
    pub fn into_latest(self) -> OwnedFd {
        self.last_state
    }
}
