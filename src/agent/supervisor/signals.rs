//! The signals of the supervisor, which reads them from a descriptor.

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
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(mask)
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
