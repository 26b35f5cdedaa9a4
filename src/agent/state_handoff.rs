//! Sends the state that must survive the agent to its supervisor.
//!
//! The whole state goes into a memory of its own, which the supervisor holds too. Changes after that
//! are appended to it, so that an event costs what it changes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tracing::warn;
use zeroize::Zeroizing;

use super::events::Events;
use super::login_store::LoginStore;
use super::source_set::SourceSet;
use crate::adapters::clock::Clock;
use crate::adapters::handoff::{self, Message};
use crate::wire::handoff::{SavedChange, SavedLogin, SavedState};

/// How long after a supervisor's queue was full the state is sent again.
const RESEND_INTERVAL: SignedDuration = SignedDuration::from_secs(1);
/// How much may be appended to a state before it is written anew, in bytes, and in states.
const APPENDED_LIMIT: usize = 64 * 1024;

/// Sends states to the supervisor.
pub struct StateHandoff {
    control: OwnedFd,
    memory: OwnedFd,
    /// The length of the state in `memory`, and with the changes after it; `None` while `memory` is
    /// the previous agent's.
    written: Option<(usize, usize)>,
    last_seq: u64,
    /// When `memory` is sent again.
    due: Option<Timestamp>,
    clock: Clock,
    config: Option<serde_json::Value>,
}

impl StateHandoff {
    /// Sends states over `control`. `memory` is the state that the previous agent left, and `config`
    /// the configuration in use.
    pub fn new(
        control: OwnedFd,
        memory: OwnedFd,
        clock: Clock,
        config: Option<serde_json::Value>,
    ) -> Self {
        Self { control, memory, written: None, last_seq: 0, due: None, clock, config }
    }

    /// Reports that every source has been read and published.
    pub fn ready(&self) {
        if let Err(error) = handoff::send(self.control.as_fd(), &Message::Ready) {
            warn!("the supervisor cannot be told: {error}");
        }
    }

    /// Hands over the whole state.
    pub fn hand_over(&mut self, sources: &SourceSet, logins: &LoginStore, events: &Events) {
        let mut state = SavedState { config: self.config.clone(), ..SavedState::default() };
        sources.save_into(&mut state);
        logins.save_into(&mut state);
        state.events = events.since(0);
        let Some(content) = serialized(&state) else { return };
        match handoff::create(&content) {
            Ok(memory) => self.memory = memory,
            Err(error) => return warn!("the state cannot be kept: {error}"),
        }
        self.written = Some((content.len(), content.len()));
        self.last_seq = state.events.last().map_or(self.last_seq, |event| event.seq);
        self.send();
    }

    /// Adds the logins that changed, and all new events. Returns whether the whole state is to be
    /// handed over instead.
    #[must_use]
    pub fn add(&mut self, logins: BTreeMap<String, SavedLogin>, events: &Events) -> bool {
        let Some((state, end)) = self.written else { return false };
        let events = events.since(self.last_seq);
        let last_seq = events.last().map_or(self.last_seq, |event| event.seq);
        let change = SavedChange { logins, events };
        if change.logins.is_empty() && change.events.is_empty() {
            return false;
        }
        let Some(content) = serialized(&change) else { return false };
        if end + content.len() > 2 * state + APPENDED_LIMIT {
            return true;
        }
        if let Err(error) = handoff::append(self.memory.as_fd(), end, &content) {
            warn!("a change cannot be kept: {error}");
            return true;
        }
        self.written = Some((state, end + content.len()));
        self.last_seq = last_seq;
        false
    }

    /// When [`StateHandoff::resend`] is due.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Sends a state again for which the supervisor's queue was full.
    pub fn resend(&mut self) {
        if self.due.is_some_and(|due| due <= self.clock.now()) {
            self.send();
        }
    }

    /// The last state, for when this process becomes the supervisor itself.
    pub fn into_latest(self) -> OwnedFd {
        self.memory
    }

    fn send(&mut self) {
        let sent = self
            .memory
            .try_clone()
            .and_then(|memory| handoff::send(self.control.as_fd(), &Message::SaveState(memory)));
        self.due = None;
        match sent {
            Ok(()) => {}
            // A supervisor that hangs receives the newest state when it resumes.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.due = self.clock.now().checked_add(RESEND_INTERVAL).ok();
            }
            Err(error) => warn!("the state cannot be handed to the supervisor: {error}"),
        }
    }
}

fn serialized(state: &impl Serialize) -> Option<Zeroizing<Vec<u8>>> {
    match serde_json::to_vec(state) {
        Ok(content) => Some(Zeroizing::new(content)),
        Err(error) => {
            warn!("the state cannot be kept: {error}");
            None
        }
    }
}
