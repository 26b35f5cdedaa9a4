//! How long the supervisor waits before it starts the next agent.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::signals::{Request, Signals, wait_for};
use crate::agent::running_agent::reap_orphans;

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// An agent that dies sooner may die at every start.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// After an agent has lived this long, the delay starts over.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// The next delay, which doubles.
pub(super) struct RestartDelay(Duration);

impl Default for RestartDelay {
    fn default() -> Self {
        Self(FIRST_DELAY)
    }
}

impl RestartDelay {
    /// Waits after an agent that `lived` so long and `was_ready`, or until a client connects or this
    /// process is asked to stop. Returns what it was asked.
    pub(super) fn wait(
        &mut self,
        was_ready: bool,
        lived: Duration,
        listener: &UnixListener,
        signals: &Signals,
    ) -> io::Result<Option<Request>> {
        if lived >= HEALTHY_AFTER {
            self.0 = FIRST_DELAY;
        }
        let minimum = match (was_ready, lived) {
            (false, _) => self.0,
            (true, lived) if lived < SHORT_LIFE => FIRST_DELAY,
            (true, _) => Duration::ZERO,
        };
        let delay = self.0;
        self.0 = (delay * 2).min(LONGEST_DELAY);
        pause(delay, minimum, listener, signals)
    }
}

/// Waits for `delay`, or until a client connects, but at least for `minimum`. Returns what this process
/// was asked meanwhile; a request to stop ends the wait.
///
/// A client that connected before the last agent died is still in the queue and would cut every pause
/// short. `minimum` prevents a restart loop of agents that never become ready.
fn pause(
    delay: Duration,
    minimum: Duration,
    listener: &UnixListener,
    signals: &Signals,
) -> io::Result<Option<Request>> {
    let begin = Instant::now();
    let mut request = None;
    loop {
        let left = delay.saturating_sub(begin.elapsed());
        let may_be_cut_short = begin.elapsed() >= minimum;
        let mut ready = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
        ];
        let watched = if may_be_cut_short { &mut ready[..] } else { &mut ready[..1] };
        wait_for(watched, Some(if may_be_cut_short { left } else { left.min(minimum) }))?;
        reap_orphans(None)?;
        request = request.max(signals.take_requests()?);
        let is_over = left.is_zero() || may_be_cut_short && ready[1].any().unwrap_or_default();
        if is_over || request == Some(Request::Stop) {
            return Ok(request);
        }
    }
}
