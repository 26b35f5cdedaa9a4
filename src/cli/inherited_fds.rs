//! The descriptors that one process of this program passes to the next by number.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixListener;

use clap::Args;

use crate::adapters::{handoff, process};
use crate::agent::running_agent::Inherited;

/// The numbers of the inherited descriptors.
#[derive(Debug, Clone, Copy, Args)]
pub struct InheritedFds {
    /// The directory that holds the lock.
    #[arg(long)]
    pub lock: RawFd,
    /// The listening socket.
    #[arg(long)]
    pub listener: RawFd,
    /// The queue that holds the last state.
    #[arg(long)]
    pub state: RawFd,
    /// The connection to an agent that was taken over.
    #[arg(long)]
    pub previous: Option<RawFd>,
}

/// Takes ownership of the descriptors. Call it once this process has hardened itself.
pub fn inherit(fds: InheritedFds) -> io::Result<Inherited> {
    Ok(Inherited {
        lock: process::take_inherited(fds.lock)?.into(),
        listener: UnixListener::from(process::take_inherited(fds.listener)?),
        previous: fds.previous.map(process::take_inherited).transpose()?,
        memfd: handoff::take_queued(&process::take_inherited(fds.state)?)?,
    })
}
