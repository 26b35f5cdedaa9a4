//! Follows the agent's events and this process's signals on threads of their own, so that a command
//! can draw meanwhile.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use super::output::ask_status;
use crate::adapters::agent_client::{AgentClient, ClientError};
use crate::adapters::clock;
use crate::adapters::paths::Paths;
use crate::wire::api::{EventDocument, StatusDocument};

/// The minimum time between two requests for the whole status.
const STATUS_INTERVAL: Duration = Duration::from_millis(50);

/// What a command that follows the agent reacts to.
pub enum Change {
    /// An event with this number.
    Event(u64),
    /// The stream of events ended: the agent stops or is replaced.
    Ended,
    /// A signal to this process.
    Signal(Signal),
}

/// Changes in the order in which they happen.
pub struct ChangeFeed {
    asked_at: Cell<Option<Instant>>,
    sender: Sender<Change>,
    changes: Receiver<Change>,
}

impl Default for ChangeFeed {
    fn default() -> Self {
        let (sender, changes) = channel();
        Self { asked_at: Cell::default(), sender, changes }
    }
}

impl ChangeFeed {
    /// Adds the events of an agent, past ones included. Read the status after this call, so that no
    /// change in between is missed.
    pub fn add_events(&self, paths: &Paths, timeout: Duration) -> Result<(), ClientError> {
        let client = AgentClient::connect_to_any(paths, timeout)?;
        let mut feed = client.send("GET", "/v1/events?follow=true", b"")?;
        let sender = self.sender.clone();
        thread::spawn(move || {
            while let Ok(Some(line)) = feed.line() {
                let Ok(event) = serde_json::from_str::<EventDocument>(&line) else { continue };
                if sender.send(Change::Event(event.seq)).is_err() {
                    return;
                }
            }
            let _ = sender.send(Change::Ended);
        });
        Ok(())
    }

    /// Adds these signals, which no longer have their usual effect on this process.
    pub fn add_signals(&self, signals: &SigSet) -> nix::Result<()> {
        signals.thread_block()?;
        let (sender, signals) = (self.sender.clone(), *signals);
        thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                if sender.send(Change::Signal(signal)).is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    /// The next change, leaving out the events up to `seq`; `None` after `patience`.
    pub fn next_after(&self, seq: u64, patience: Duration) -> Option<Change> {
        loop {
            match self.changes.recv_timeout(patience) {
                // A stream of events starts with past ones.
                Ok(Change::Event(old)) if old <= seq => {}
                Ok(change) => return Some(change),
                // This value has a sender itself, so the channel stays connected.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// The agent's status, no sooner than [`STATUS_INTERVAL`] after the last one, so that a burst of
    /// events leads to few requests for the whole status.
    pub fn status(&self, paths: &Paths) -> Result<StatusDocument, ClientError> {
        if let Some(asked_at) = self.asked_at.get() {
            clock::pause(STATUS_INTERVAL.saturating_sub(asked_at.elapsed()));
        }
        self.asked_at.set(Some(Instant::now()));
        ask_status(paths)
    }
}
