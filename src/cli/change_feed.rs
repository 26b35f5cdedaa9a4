//! Follows the agent's status and this process's signals on threads of their own, so that a command
//! can draw meanwhile.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use crate::adapters::agent_client::{AgentClient, AgentResponse, ClientError};
use crate::adapters::paths::Paths;
use crate::wire::api::{StatusDocument, parse_printable};

/// What a command that follows the agent reacts to.
pub enum Change {
    /// The status, which differs from the last one.
    Status(Box<StatusDocument>),
    /// The stream ended: the agent stops or is replaced.
    Ended,
    /// A signal to this process.
    Signal(Signal),
}

/// Changes in the order in which they happen.
pub struct ChangeFeed {
    sender: Sender<Change>,
    changes: Receiver<Change>,
}

impl Default for ChangeFeed {
    fn default() -> Self {
        let (sender, changes) = channel();
        Self { sender, changes }
    }
}

impl ChangeFeed {
    /// The current status of an agent. Each later one is added, for at most `timeout`.
    pub fn follow_status(
        &self,
        paths: &Paths,
        timeout: Duration,
    ) -> Result<StatusDocument, ClientError> {
        let client = AgentClient::connect_to_any(paths, timeout)?;
        let mut stream = client.send("GET", "/v1/status?follow=true", b"")?.succeeded()?;
        let first = next_in(&mut stream)?;
        let first = first.ok_or(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()))?;
        let sender = self.sender.clone();
        thread::spawn(move || {
            while let Ok(Some(status)) = next_in(&mut stream) {
                if sender.send(Change::Status(Box::new(status))).is_err() {
                    return;
                }
            }
            let _ = sender.send(Change::Ended);
        });
        Ok(first)
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

    /// The next change; `None` after `patience`.
    pub fn next_within(&self, patience: Duration) -> Option<Change> {
        // This value has a sender itself, so the only possible error is the timeout.
        self.changes.recv_timeout(patience).ok()
    }
}

/// The next status in a stream; `None` at its end, where a line may be cut off.
fn next_in(stream: &mut AgentResponse) -> Result<Option<StatusDocument>, ClientError> {
    Ok(stream.line()?.and_then(|line| parse_printable(line.as_bytes()).ok()))
}
