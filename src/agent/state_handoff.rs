//! Hands what must survive the agent to its supervisor.

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

/// At most this often is the state handed over for what the next agent could find out by itself.
const INTERVAL: SignedDuration = SignedDuration::from_secs(1);

/// The way to the supervisor.
pub struct StateHandoff {
    control: OwnedFd,
    last_state: OwnedFd,
    content: Zeroizing<Vec<u8>>,
    due: Option<Timestamp>,
    clock: Clock,
    config: Option<serde_json::Value>,
}

impl StateHandoff {
    /// A handoff that sends over `control`; `last_state` is what the last agent left, and
    /// `config` the configuration in use.
    pub fn new(
        control: OwnedFd,
        last_state: OwnedFd,
        clock: Clock,
        config: Option<serde_json::Value>,
    ) -> Self {
        Self { control, last_state, content: Zeroizing::default(), due: None, clock, config }
    }

    /// Every source was read and published.
    pub fn ready(&self) {
        if let Err(error) = handoff::send(self.control.as_fd(), &Message::Ready) {
            warn!("the supervisor cannot be told: {error}");
        }
    }

    /// Something has changed that the next agent could find out by itself, such as a verdict: it is
    /// handed over within a second, with all that changes until then.
    pub fn hand_over_soon(&mut self, now: Timestamp) {
        self.due = self.due.or_else(|| now.checked_add(INTERVAL).ok());
    }

    /// When the state is to be handed over.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Hands the present state over, if it is another one than before.
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
            // A supervisor that hangs takes the newest state when it goes on.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.hand_over_soon(self.clock.now());
            }
            Err(error) => warn!("the state cannot be handed to the supervisor: {error}"),
        }
    }

    /// The last state, for a supervisor that this process is about to become.
    pub fn into_latest(self) -> OwnedFd {
        self.last_state
    }
}
