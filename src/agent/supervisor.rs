//! Keeps an agent running: starts it, holds what must outlive it, starts it again.
//!
//! The supervisor owns the lock, the listening socket and the last state the agent handed over. A
//! client that connects while there is no agent waits in the socket's queue for the next one. When
//! the supervisor itself dies, its agent becomes the supervisor by executing this program anew with
//! the same descriptors.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;
use tracing::{info, warn};

use crate::adapters::handoff::{self, Message};
use crate::adapters::process::{THIS_PROGRAM, keep_across_exec};

/// How long an agent may take to end before it is killed.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// An agent that did not live this long may be one that cannot live at all.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// An agent that lived this long starts with a short delay again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// What outlives an agent.
#[derive(Debug)]
pub struct Inherited {
    /// Makes it the only one.
    pub lock: File,
    /// Where clients connect.
    pub listener: UnixListener,
    /// The last state, as a memfd.
    pub memory: OwnedFd,
}

/// What the world around wants to hear of the supervisor's work.
pub trait ServiceNotifier {
    /// The agent has read and published everything. Called once for each agent.
    fn ready(&mut self);
    /// The agent handed over a new state.
    fn state_saved(&mut self, memory: BorrowedFd<'_>);
}

/// Runs agents until one ends by itself with success, or this process is asked to stop.
///
/// The socket is the caller's to remove, before `inherited`, and with it the lock, is dropped: from then
/// on it may be a successor's.
///
/// `foreground` tells agents that an init system watches over the supervisor.
pub fn supervise(
    inherited: &mut Inherited,
    foreground: bool,
    notifier: &mut impl ServiceNotifier,
) -> io::Result<()> {
    let signals = catch_signals()?;
    let mut delay = FIRST_DELAY;
    loop {
        let started = Instant::now();
        let (mut child, control) = match spawn(inherited, foreground) {
            Ok(spawned) => spawned,
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
        let (ending, was_ready) = watch_child(&mut child, &control, &signals, inherited, notifier)?;
        match ending {
            ChildExit::StopRequested => return Ok(()),
            ChildExit::Died(status) if status.success() => return Ok(()),
            ChildExit::Died(status) => warn!("the agent died ({})", describe(status)),
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

/// The arguments by which [`crate::cli`] finds the descriptors of [`Inherited`] again.
pub fn arguments(
    command: &str,
    inherited: &Inherited,
    control: Option<&OwnedFd>,
) -> io::Result<Vec<String>> {
    let mut arguments = vec![command.to_owned()];
    let mut add = |name: &str, fd: BorrowedFd<'_>| {
        arguments.push(format!("--{name}={}", fd.as_raw_fd()));
        keep_across_exec(fd)
    };
    add("lock", inherited.lock.as_fd())?;
    add("listener", inherited.listener.as_fd())?;
    add("memory", inherited.memory.as_fd())?;
    if let Some(control) = control {
        add("control", control.as_fd())?;
    }
    Ok(arguments)
}

enum ChildExit {
    Died(ExitStatus),
    StopRequested,
}

fn catch_signals() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

fn spawn(inherited: &Inherited, foreground: bool) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0("registry-agent");
    command.args(arguments("agent", inherited, Some(&theirs))?);
    if foreground {
        command.arg("--foreground");
    }
    // The environment of this process was emptied of secrets when it was started.
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    Ok((child, ours))
}

/// Listens to the agent and to the signals until the agent is gone. Says whether it was ever ready.
fn watch_child(
    child: &mut Child,
    control: &OwnedFd,
    signals: &SignalFd,
    inherited: &mut Inherited,
    notifier: &mut impl ServiceNotifier,
) -> io::Result<(ChildExit, bool)> {
    let mut was_ready = false;
    let mut stop_requested: Option<Instant> = None;
    let mut control_closed = false;
    loop {
        let timeout = match stop_requested {
            None => PollTimeout::NONE,
            Some(since) => {
                let left = STOP_GRACE.saturating_sub(since.elapsed());
                if left.is_zero() {
                    child.kill()?;
                }
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut ready = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(control.as_fd(), PollFlags::POLLIN),
        ];
        // A closed control socket is readable for ever.
        let watched = if control_closed { &mut ready[..1] } else { &mut ready[..] };
        match poll(watched, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_message = ready[1].any().unwrap_or_default();
        if has_message && !control_closed {
            match handoff::receive(control.as_fd()) {
                Ok(Some(Message::SaveState(memory))) => {
                    notifier.state_saved(memory.as_fd());
                    inherited.memory = memory;
                }
                Ok(Some(Message::Ready)) => {
                    was_ready = true;
                    notifier.ready();
                }
                Ok(None) => control_closed = true,
                Err(error) => warn!("a message of the agent was lost: {error}"),
            }
            // Messages sent before the agent died come first.
            continue;
        }
        if take_signals(signals)? && stop_requested.is_none() {
            stop_requested = Some(Instant::now());
            terminate(child);
        }
        if let Some(status) = child.try_wait()? {
            let ending = if stop_requested.is_some() {
                ChildExit::StopRequested
            } else {
                ChildExit::Died(status)
            };
            return Ok((ending, was_ready));
        }
    }
}

/// Reads every signal that is there; whether one of them asks to end.
fn take_signals(signals: &SignalFd) -> io::Result<bool> {
    let mut end = false;
    while let Some(info) = signals.read_signal()? {
        end |= Signal::try_from(info.ssi_signo.cast_signed()) != Ok(Signal::SIGCHLD);
    }
    Ok(end)
}

fn terminate(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It may have ended by itself just now.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
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
        let wait = if may_be_cut_short { left } else { left.min(minimum) };
        match poll(watched, PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if take_signals(signals)? {
            return Ok(false);
        }
        if left.is_zero() || may_be_cut_short && ready[1].any().unwrap_or_default() {
            return Ok(true);
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}
