//! The descriptors that one process of this program passes to the next by number.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixListener;

use clap::Args;

use crate::adapters::process;
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
    /// The last state, as a memfd.
    #[arg(long)]
    pub memory: RawFd,
}

/// Takes ownership of the descriptors.
pub fn inherit(fds: InheritedFds) -> io::Result<Inherited> {
    Ok(Inherited {
        lock: process::take_inherited(fds.lock)?.into(),
        listener: UnixListener::from(process::take_inherited(fds.listener)?),
        memory: process::take_inherited(fds.memory)?,
    })
}
