//! Keeps an agent running: starts it, holds what must outlive it, starts it again.
//!
//! The supervisor owns the lock, the listening socket and the last state the agent handed over. A
//! client that connects while there is no agent waits in the socket's queue for the next one. When
//! the supervisor itself dies, its agent becomes the supervisor by executing this program anew with
//! the same descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::WaitStatus;
use tracing::{info, warn};

use super::running_agent::{Inherited, RunningAgent, reap_orphans};
use crate::adapters::endpoint::Endpoint;
use crate::adapters::handoff::{self, Message};

/// How long an agent may take to end before it is killed.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

/// How long a killed agent may take to disappear: one that waits in the kernel stays until the kernel
/// lets it go, but never runs again.
const KILL_GRACE: Duration = Duration::from_millis(250);
/// The time in which a directory follows the files that were removed from it.
const REMOVAL_PAUSE: Duration = Duration::from_millis(500);
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// An agent that did not live this long may be one that cannot live at all.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// An agent that lived this long starts with a short delay again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// What the world around wants to hear of the supervisor's work.
pub trait ServiceNotifier {
    /// The agent has read and published everything. Called once for each agent.
    fn ready(&mut self);
    /// The agent handed over a new state.
    fn state_saved(&mut self, memory: BorrowedFd<'_>);
}

/// Runs agents until one ends by itself with success, or this process is asked to stop. The first is
/// `adopted`, where a dead supervisor left one.
///
/// An agent that hangs in the kernel may outlive this call, and its copy of the lock with it. The
/// caller removes the socket and then unlocks the lock, which releases it for every copy.
///
/// `foreground` tells agents that an init system watches over the supervisor.
pub fn supervise(
    inherited: &mut Inherited,
    foreground: bool,
    mut adopted: Option<RunningAgent>,
    endpoint: &mut Endpoint,
    notifier: &mut impl ServiceNotifier,
) -> io::Result<()> {
    let signals = catch_signals()?;
    let mut delay = FIRST_DELAY;
    loop {
        let started = Instant::now();
        let spawned = adopted.take().map_or_else(|| RunningAgent::spawn(inherited, foreground), Ok);
        let agent = match spawned {
            Ok(agent) => agent,
            Err(error) => {
                // A machine out of memory or processes has them again later; what is kept here has
                // no other place.
                warn!("the agent cannot be started: {error}");
                if !pause(delay, delay, &inherited.listener, &signals)? {
                    return Ok(());
                }
                delay = (delay * 2).min(LONGEST_DELAY);
                continue;
            }
        };
        let (end, was_ready) = watch_agent(&agent, &signals, inherited, endpoint, notifier)?;
        match end {
            AgentEnd::AsAsked(Request::Stop) | AgentEnd::Itself(WaitStatus::Exited(_, 0)) => {
                return Ok(());
            }
            AgentEnd::AsAsked(Request::Reload) => continue,
            AgentEnd::Itself(status) => warn!("the agent died ({})", describe(status)),
        }
        let lived = started.elapsed();
        if lived >= HEALTHY_AFTER {
            delay = FIRST_DELAY;
        }
        let minimum = match (was_ready, lived) {
            (false, _) => delay,
            (true, lived) if lived < SHORT_LIFE => FIRST_DELAY,
            (true, _) => Duration::ZERO,
        };
        if !pause(delay, minimum, &inherited.listener, &signals)? {
            return Ok(());
        }
        delay = (delay * 2).min(LONGEST_DELAY);
        info!("starting the agent again");
    }
}

/// What a signal asks of the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Request {
    /// SIGHUP: read the configuration and the sources again, which a new agent does.
    Reload,
    /// SIGTERM, SIGINT: end.
    Stop,
}

enum AgentEnd {
    /// It was asked to end.
    AsAsked(Request),
    /// Nobody asked it to.
    Itself(WaitStatus),
}

fn catch_signals() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Listens to the agent and to the signals until the agent is gone. Says whether it was ever ready.
fn watch_agent(
    agent: &RunningAgent,
    signals: &SignalFd,
    inherited: &mut Inherited,
    endpoint: &mut Endpoint,
    notifier: &mut impl ServiceNotifier,
) -> io::Result<(AgentEnd, bool)> {
    let mut was_ready = false;
    let mut control_closed = false;
    let mut asked: Option<Request> = None;
    let mut killed = false;
    let mut deadline: Option<Instant> = None;
    // Recreate first what was removed while nobody watched.
    let mut look_again = Some(Instant::now());
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match (left, asked) {
            (Some(Duration::ZERO), Some(request)) if killed => {
                warn!("the agent hangs in the kernel and cannot be killed; leaving it behind");
                return Ok((AgentEnd::AsAsked(request), was_ready));
            }
            (Some(Duration::ZERO), _) => {
                warn!("the agent does not end by itself and is killed");
                agent.kill();
                killed = true;
                deadline = Some(Instant::now() + KILL_GRACE);
                continue;
            }
            _ => {}
        }
        let until_look = look_again.map(|at: Instant| at.saturating_duration_since(Instant::now()));
        let timeout = [left, until_look].into_iter().flatten().min();
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        // A closed control socket is readable for ever.
        let control = (!control_closed).then(|| agent.control.as_fd());
        let mut watched = vec![readable(signals.as_fd())];
        watched.extend([control, endpoint.changes()].into_iter().flatten().map(readable));
        wait_for(&mut watched, timeout)?;
        let is_ready = |n: usize| watched.get(n).and_then(PollFd::any).unwrap_or_default();
        let has_message = !control_closed && is_ready(1);
        let has_changed = is_ready(if control_closed { 1 } else { 2 });
        let mut request = take_requests(signals)?;
        if has_changed || until_look == Some(Duration::ZERO) {
            endpoint.forget_changes();
            // The directory goes a moment after what is in it.
            look_again = has_changed.then(|| Instant::now() + REMOVAL_PAUSE);
            match endpoint.restore(&mut inherited.lock, &mut inherited.listener) {
                Ok(false) => {}
                Ok(true) => {
                    warn!("the socket or the lock was removed; recreated");
                    request = request.max(Some(Request::Reload));
                }
                Err(error) => warn!("the socket or the lock cannot be made again: {error}"),
            }
        }
        if request > asked {
            if asked.is_none() {
                deadline = Some(Instant::now() + STOP_GRACE);
                agent.terminate();
            }
            asked = request;
        }
        if has_message {
            match handoff::receive(agent.control.as_fd()) {
                Ok(Some(Message::SaveState(memory))) => {
                    notifier.state_saved(memory.as_fd());
                    inherited.memory = memory;
                }
                Ok(Some(Message::Ready)) => {
                    was_ready = true;
                    notifier.ready();
                }
                Ok(Some(Message::TakeOver(_))) => {}
                Ok(None) => control_closed = true,
                Err(error) => warn!("a message of the agent was lost: {error}"),
            }
            // Messages sent before the agent died come first. Its end closes the socket, so that
            // a SIGCHLD read above is not forgotten.
            if !control_closed {
                continue;
            }
        }
        if let Some(status) = agent.try_wait()? {
            let end = asked.map_or(AgentEnd::Itself(status), AgentEnd::AsAsked);
            return Ok((end, was_ready));
        }
    }
}

/// Reads every signal that is there; the strongest request among them.
fn take_requests(signals: &SignalFd) -> io::Result<Option<Request>> {
    let mut request = None;
    while let Some(info) = signals.read_signal()? {
        request = request.max(match Signal::try_from(info.ssi_signo.cast_signed()) {
            Ok(Signal::SIGCHLD) | Err(_) => None,
            Ok(Signal::SIGHUP) => Some(Request::Reload),
            Ok(_) => Some(Request::Stop),
        });
    }
    Ok(request)
}

/// Waits before the next agent, until a client asks for it at the latest, but not less than `minimum`;
/// false when asked to stop.
///
/// A client that waits since before the last agent died, or has given up since, would cut every pause
/// short: an agent that was never ready is no sooner ready for it.
fn pause(
    delay: Duration,
    minimum: Duration,
    listener: &UnixListener,
    signals: &SignalFd,
) -> io::Result<bool> {
    let begin = Instant::now();
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
        if take_requests(signals)? == Some(Request::Stop) {
            return Ok(false);
        }
        if left.is_zero() || may_be_cut_short && ready[1].any().unwrap_or_default() {
            return Ok(true);
        }
    }
}

/// Waits until one of `descriptors` is readable, no longer than `timeout`.
fn wait_for(descriptors: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    // poll(2) counts milliseconds: rounded down, it would return early and be called over and over.
    let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
        PollTimeout::try_from(timeout + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
    });
    match poll(descriptors, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn describe(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("exit status {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("signal {signal}"),
        other => format!("{other:?}"),
    }
}
