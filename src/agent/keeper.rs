//! Hands what must survive the agent to its supervisor.

use std::os::fd::{AsFd, OwnedFd};

use tracing::warn;
use zeroize::Zeroizing;

use super::gather::Gatherer;
use super::ledger::Ledger;
use crate::edge::memory::{self, Message};
use crate::wire::memory::Memory;

/// The way to the supervisor.
pub struct Keeper {
    control: OwnedFd,
    latest: OwnedFd,
    content: Zeroizing<Vec<u8>>,
}

impl Keeper {
    /// A keeper that speaks over `control`; `latest` is what the last agent left.
    pub fn new(control: OwnedFd, latest: OwnedFd) -> Self {
        Self { control, latest, content: Zeroizing::default() }
    }

    /// Every source was read and published.
    pub fn ready(&self) {
        if let Err(error) = memory::send(self.control.as_fd(), &Message::Ready) {
            warn!("the supervisor cannot be told: {error}");
        }
    }

    /// Hands the present state over, if it is another one than before.
    pub fn keep(&mut self, gatherer: &Gatherer, ledger: &Ledger) {
        let mut state = Memory::default();
        gatherer.remember(&mut state);
        ledger.remember(&mut state);
        let content = match serde_json::to_vec(&state) {
            Ok(content) => Zeroizing::new(content),
            Err(error) => return warn!("the state cannot be kept: {error}"),
        };
        if content == self.content {
            return;
        }
        let kept = memory::create(&content).and_then(|memfd| {
            self.latest = memfd.try_clone()?;
            memory::send(self.control.as_fd(), &Message::Remember(memfd))
        });
        match kept {
            Ok(()) => self.content = content,
            Err(error) => warn!("the state cannot be handed to the supervisor: {error}"),
        }
    }

    /// The latest state, for a supervisor that this process is about to become.
    pub fn into_latest(self) -> OwnedFd {
        self.latest
    }
}
