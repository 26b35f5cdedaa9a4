//! Keeps an agent running: starts it, holds what must outlive it, starts it again.
//!
//! The supervisor owns the lock, the listening socket and the last state the agent handed over. A
//! client that connects while there is no agent waits in the socket's queue for the next one. When
//! the supervisor itself dies, its agent becomes the supervisor by executing this program anew with
//! the same descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
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
use crate::adapters::lock::LockError;
use crate::adapters::takeover;

/// How long an agent may take to end before it is killed. With [`KILL_GRACE`], `stop` stays within 2 s.
pub const STOP_GRACE: Duration = Duration::from_millis(1600);

/// How long a killed agent may take to disappear: one that waits in the kernel stays until the kernel
/// lets it go, but never runs again.
pub const KILL_GRACE: Duration = Duration::from_millis(250);
/// A directory is removed a moment after the files in it, and the kernel does not report it while it
/// is open: the pause before the first look for it, which doubles.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// The pause before the last of these looks, and between attempts to recreate what was removed.
const LAST_LOOK: Duration = Duration::from_millis(512);
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// An agent that dies sooner may die at every start.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// After an agent has lived this long, the delay starts over.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// Receives what the process that started the supervisor has to know.
pub trait ServiceNotifier {
    /// The agent has read and published everything. Called once for each agent.
    fn ready(&mut self);
    /// The agent handed over a new state.
    fn state_saved(&mut self, memory: BorrowedFd<'_>);
}

/// Why the supervisor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupervisorExit {
    /// It or its agent was asked to stop.
    Stopped,
    /// A `run` has taken over.
    HandedOver,
    /// The lock was removed, and another agent holds the new one.
    Displaced,
}

/// Runs agents until one exits successfully or this process is asked to stop. The first agent is
/// `adopted` if a dead supervisor left one.
///
/// An agent that hangs in the kernel may outlive this call and keeps its copy of the lock open. The
/// caller must remove the socket and unlock the lock, which releases it for every copy.
///
/// `foreground` tells agents that an init system started the supervisor.
pub fn supervise(
    inherited: &mut Inherited,
    foreground: bool,
    mut adopted: Option<RunningAgent>,
    endpoint: &mut Endpoint,
    notifier: &mut impl ServiceNotifier,
) -> io::Result<SupervisorExit> {
    let signals = catch_signals()?;
    let mut delay = FIRST_DELAY;
    loop {
        let started = Instant::now();
        let spawned = adopted.take().map_or_else(|| RunningAgent::spawn(inherited, foreground), Ok);
        let agent = match spawned {
            Ok(agent) => agent,
            Err(error) => {
                // The machine may be out of memory or processes for a while. This process must not
                // exit: it holds the only copy of the state.
                warn!("the agent cannot be started: {error}");
                if !pause(delay, delay, &inherited.listener, &signals)? {
                    return Ok(SupervisorExit::Stopped);
                }
                delay = (delay * 2).min(LONGEST_DELAY);
                continue;
            }
        };
        let (end, was_ready) = watch_agent(&agent, &signals, inherited, endpoint, notifier)?;
        match end {
            AgentEnd::Asked(Asked::Stop) => return Ok(SupervisorExit::Stopped),
            AgentEnd::Asked(Asked::MakeRoom) => return Ok(SupervisorExit::Displaced),
            AgentEnd::Asked(Asked::HandOver(stream)) => {
                if takeover::decision(stream) {
                    return Ok(SupervisorExit::HandedOver);
                }
                warn!("`run` did not take over");
                endpoint.announce();
                continue;
            }
            AgentEnd::Unasked(WaitStatus::Exited(_, 0)) => {
                // Where `/proc` hides processes, `run` asks the agent to stop.
                return Ok(match endpoint.waiting_run() {
                    Some(run) if takeover::hand_over(run.as_fd(), inherited.descriptors()?) => {
                        SupervisorExit::HandedOver
                    }
                    _ => SupervisorExit::Stopped,
                });
            }
            AgentEnd::Unasked(status) => warn!("the agent died ({})", describe(status)),
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
            return Ok(SupervisorExit::Stopped);
        }
        delay = (delay * 2).min(LONGEST_DELAY);
        info!("starting the agent again");
    }
}

/// What a signal requests of the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Request {
    /// SIGHUP: read the configuration and the sources again.
    Reload,
    /// SIGTERM, SIGINT: end, or hand over to the `run` that sent it.
    Stop,
}

/// Why the supervisor asked the agent to end.
enum Asked {
    Stop,
    /// A `run` takes over at the other end of this stream.
    HandOver(OwnedFd),
    /// Another agent holds the lock.
    MakeRoom,
}

impl Asked {
    /// Whether the `run` that wanted to take over is gone, so that the agent serves again.
    fn is_abandoned(&self) -> bool {
        matches!(self, Self::HandOver(run) if takeover::is_abandoned(run.as_fd()))
    }
}

enum AgentEnd {
    Asked(Asked),
    Unasked(WaitStatus),
}

fn catch_signals() -> io::Result<SignalFd> {
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    Ok(SignalFd::with_flags(&block_signals()?, flags)?)
}

/// Keeps the supervisor's signals until it reads them. A process that is about to become one calls
/// this first: a program starts with the mask of the one before it.
pub fn block_signals() -> io::Result<SigSet> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(mask)
}

/// Listens to the agent and to the signals until the agent is gone. Returns whether it was ever ready.
fn watch_agent(
    agent: &RunningAgent,
    signals: &SignalFd,
    inherited: &mut Inherited,
    endpoint: &mut Endpoint,
    notifier: &mut impl ServiceNotifier,
) -> io::Result<(AgentEnd, bool)> {
    let mut was_ready = false;
    let mut control_closed = false;
    let mut asked: Option<Asked> = None;
    let mut killed = false;
    let mut deadline: Option<Instant> = None;
    // Files may have been removed before the watch existed.
    let mut looks = Looks { next: Some(Instant::now()), pause: FIRST_LOOK, is_failing: false };
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            match asked.take() {
                Some(asked) if killed => {
                    warn!("the agent hangs in the kernel and cannot be killed; leaving it behind");
                    return Ok((AgentEnd::Asked(asked), was_ready));
                }
                unfinished => asked = unfinished,
            }
            warn!("the agent does not end by itself and is killed");
            agent.kill();
            killed = true;
            deadline = Some(Instant::now() + KILL_GRACE);
            continue;
        }
        let until_look = looks.next.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = [left, until_look].into_iter().flatten().min();
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        // A closed control socket stays readable, so polling it would spin.
        let control = (!control_closed).then(|| agent.control.as_fd());
        let mut watched = vec![readable(signals.as_fd())];
        watched.extend([control, endpoint.changes()].into_iter().flatten().map(readable));
        wait_for(&mut watched, timeout)?;
        let is_ready = |n: usize| watched.get(n).and_then(PollFd::any).unwrap_or_default();
        let has_message = !control_closed && is_ready(1);
        let has_changed = is_ready(if control_closed { 1 } else { 2 });
        let mut request = take_requests(signals)?;
        if has_changed || until_look == Some(Duration::ZERO) {
            match looks.restore(has_changed, endpoint, inherited) {
                Outcome::Recreated => request = request.max(Some(Request::Reload)),
                Outcome::Displaced if asked.is_none() => {
                    agent.terminate();
                    deadline = Some(Instant::now() + STOP_GRACE);
                    asked = Some(Asked::MakeRoom);
                }
                Outcome::InPlace | Outcome::Displaced => {}
            }
        }
        match (request, &asked) {
            (Some(Request::Reload), None) => agent.reload(inherited),
            (Some(Request::Stop), None) => {
                asked = Some(match endpoint.waiting_run() {
                    Some(run) if agent.hand_over(&run) => Asked::HandOver(run),
                    _ => {
                        agent.terminate();
                        Asked::Stop
                    }
                });
                deadline = Some(Instant::now() + STOP_GRACE);
            }
            (Some(Request::Stop), Some(Asked::HandOver(_))) if endpoint.is_stopped() => {
                agent.terminate();
                asked = Some(Asked::Stop);
            }
            _ => {}
        }
        if has_message {
            match handoff::receive(agent.control.as_fd()) {
                Ok(Some(message)) => {
                    // An agent accepts what was taken over before it sends anything.
                    inherited.previous = None;
                    match message {
                        Message::SaveState(memory) => {
                            notifier.state_saved(memory.as_fd());
                            inherited.memory = memory;
                        }
                        Message::Ready => {
                            was_ready = true;
                            notifier.ready();
                            asked = asked.filter(|asked| !asked.is_abandoned());
                            if asked.is_none() && deadline.take().is_some() {
                                endpoint.announce();
                            }
                        }
                        _ => {}
                    }
                }
                Ok(None) => control_closed = true,
                Err(error) => warn!("a message of the agent was lost: {error}"),
            }
            // Read all messages that the agent sent before it died. Its death closes the socket, so
            // the SIGCHLD that was read above is not missed.
            if !control_closed {
                continue;
            }
        }
        if let Some(status) = agent.try_wait()? {
            let end = asked.map_or(AgentEnd::Unasked(status), AgentEnd::Asked);
            return Ok((end, was_ready));
        }
    }
}

/// When to look next whether the lock and the socket are in place.
struct Looks {
    next: Option<Instant>,
    pause: Duration,
    is_failing: bool,
}

enum Outcome {
    InPlace,
    Recreated,
    /// Another agent holds the lock.
    Displaced,
}

impl Looks {
    /// Recreates what was removed. After a change, looks again for a while.
    fn restore(
        &mut self,
        has_changed: bool,
        endpoint: &mut Endpoint,
        inherited: &mut Inherited,
    ) -> Outcome {
        endpoint.forget_changes();
        self.pause = if has_changed { FIRST_LOOK } else { self.pause * 2 };
        let restored = endpoint.restore(&mut inherited.lock, &mut inherited.listener);
        if let Err(error) = &restored {
            if !self.is_failing {
                warn!("the socket or the lock cannot be recreated: {error}; retrying");
            }
            self.pause = self.pause.min(LAST_LOOK);
        }
        self.is_failing = restored.is_err();
        let again = self.pause <= LAST_LOOK;
        self.next = again.then(|| Instant::now() + self.pause);
        match restored {
            Ok(true) => {
                warn!("the socket or the lock was removed; recreated");
                Outcome::Recreated
            }
            // A command holds the lock for a moment, an agent for longer.
            Err(LockError::Held(_)) if self.pause == LAST_LOOK => Outcome::Displaced,
            Ok(false) | Err(_) => Outcome::InPlace,
        }
    }
}

/// Reads all pending signals and returns the strongest request among them.
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

/// Waits for `delay` before the next start, or until a client connects, but at least for `minimum`.
/// Returns false if this process is asked to stop.
///
/// A client that connected before the last agent died is still in the queue and would cut every pause
/// short. `minimum` prevents a restart loop of agents that never become ready.
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
    // poll(2) takes milliseconds: a timeout that is rounded down would return early and spin.
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
