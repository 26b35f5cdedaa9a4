//! The signals of supervisor and agent, which read them from a descriptor: a signal that is not read yet
//! stays pending when the process executes another program.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal requests of the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// SIGHUP: read the configuration and the sources again.
    Reload,
    /// SIGTERM, SIGINT: end, or hand over to the `run` that sent it.
    Stop,
}

/// The pending signals.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks the supervisor's signals and collects them from here on.
    pub fn catch() -> io::Result<Self> {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&block()?, flags)?))
    }

    /// Collects the signals that ask an agent to stop, which [`block_for_agent`] blocked.
    pub fn of_agent() -> io::Result<Self> {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&stop_requests(), flags)?))
    }

    /// Reads all pending signals and returns the strongest request among them.
    pub fn take_requests(&self) -> io::Result<Option<Request>> {
        let mut request = None;
        while let Some(info) = self.0.read_signal()? {
            request = request.max(match Signal::try_from(info.ssi_signo.cast_signed()) {
                Ok(Signal::SIGCHLD) | Err(_) => None,
                Ok(Signal::SIGHUP) => Some(Request::Reload),
                Ok(_) => Some(Request::Stop),
            });
        }
        Ok(request)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Keeps the supervisor's signals until it reads them. A process that is about to become one calls
/// this first: a program starts with the mask of the one before it.
pub fn block() -> io::Result<SigSet> {
    let mut mask = stop_requests();
    mask.add(Signal::SIGHUP);
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    Ok(mask)
}

/// Keeps the signals that ask an agent to stop until it reads them, and no others: the program before it
/// may have been a supervisor. Call it before any thread is started.
pub fn block_for_agent() -> io::Result<()> {
    Ok(stop_requests().thread_set_mask()?)
}

fn stop_requests() -> SigSet {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT])
}

/// Waits until one of `descriptors` is readable, no longer than `timeout`.
pub(super) fn wait_for(
    descriptors: &mut [PollFd<'_>],
    timeout: Option<Duration>,
) -> io::Result<()> {
    // poll(2) takes milliseconds: a timeout that is rounded down would return early and spin.
    let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
        PollTimeout::try_from(timeout + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
    });
    match poll(descriptors, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
