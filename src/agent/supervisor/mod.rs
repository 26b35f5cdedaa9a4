//! Keeps an agent running: starts it, holds what must outlive it, starts it again.
//!
//! The supervisor owns the lock, the listening socket and the last state the agent handed over. A
//! client that connects while there is no agent waits in the socket's queue for the next one. When
//! the supervisor itself dies, its agent becomes the supervisor by executing this program anew with
//! the same descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use self::agent_watch::{AgentEnd, AgentWatch, EndRequest};
use self::restart_delay::RestartDelay;
use self::signals::{Request, Signals};
use super::running_agent::{AgentStatus, Inherited, RunningAgent};
use crate::adapters::endpoint::Endpoint;
use crate::adapters::takeover::{self, WaitingRun};

mod agent_watch;
mod displaced;
mod recheck;
mod restart_delay;
pub mod signals;

/// How long an agent may take to end before it is killed. With [`KILL_GRACE`], `stop` stays within 2 s.
pub const STOP_GRACE: Duration = Duration::from_millis(1600);

/// How long a killed agent may take to disappear. The kernel does not end a process that waits for a
/// file system that hangs, but none of its own code runs again.
pub const KILL_GRACE: Duration = Duration::from_millis(250);

/// Receives what the process that started the supervisor has to know.
pub trait ServiceNotifier {
    /// The agent has read and published everything, for the first time or again.
    fn ready(&mut self);
    /// The agent is asked to read everything again.
    fn reloading(&mut self) {}
    /// The agent is asked to stop.
    fn stopping(&mut self) {}
    /// How the logins are, in one line.
    fn status(&mut self, _text: &str) {}
    /// The agent handed over a new state.
    fn state_saved(&mut self, memfd: BorrowedFd<'_>);
}

/// Why the supervisor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupervisorExit {
    /// It or its agent was asked to stop.
    Stopped,
    /// A `run` has taken over.
    HandedOver,
    /// The agent that this process wanted to take over serves again.
    Refused,
    /// The lock was removed, and an agent that may be taken over holds the new one.
    Displaced,
    /// The lock was removed, and a service holds the new one. It has what was pushed here.
    Superseded,
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
    signals: &Signals,
    notifier: &mut impl ServiceNotifier,
) -> io::Result<SupervisorExit> {
    let mut delay = RestartDelay::default();
    let mut after: Option<String> = None;
    loop {
        let started = Instant::now();
        let spawn = || RunningAgent::spawn(inherited, foreground, after.as_deref());
        let spawned = adopted.take().map_or_else(spawn, Ok);
        let was_ready = match spawned {
            Ok(agent) => {
                let watch = AgentWatch::new(&agent, inherited, endpoint, notifier);
                let (end, was_ready) = watch.run(signals)?;
                match exit_after(end, inherited, endpoint)? {
                    Next::Exit(exit) => return Ok(exit),
                    Next::StartNow => {
                        after = Some("stopped for a `run` that did not take over".to_owned());
                        continue;
                    }
                    Next::StartAfterDelay(how) => {
                        after = Some(how);
                        was_ready
                    }
                }
            }
            Err(error) => {
                // The machine may be out of memory or processes for a while. This process must not
                // exit: it holds the only copy of the state.
                warn!("the agent cannot be started: {error}");
                false
            }
        };
        match delay.wait(was_ready, started.elapsed(), &inherited.listener, signals)? {
            Some(Request::Stop) => {
                if let Next::Exit(exit) = stop_or_hand_over(inherited, endpoint)? {
                    return Ok(exit);
                }
            }
            // The next agent reads everything anyway.
            Some(Request::Reload) => notifier.reloading(),
            None => {}
        }
        info!("starting the agent again");
    }
}

/// What the supervisor does after an agent has ended.
enum Next {
    Exit(SupervisorExit),
    StartNow,
    /// Contains how the agent ended.
    StartAfterDelay(String),
}

fn exit_after(end: AgentEnd, inherited: &Inherited, endpoint: &Endpoint) -> io::Result<Next> {
    let exit = match end {
        AgentEnd::Requested(EndRequest::Stop) => SupervisorExit::Stopped,
        AgentEnd::Requested(EndRequest::MakeRoom) => SupervisorExit::Displaced,
        AgentEnd::Requested(EndRequest::GiveWay) => SupervisorExit::Superseded,
        AgentEnd::Requested(EndRequest::HandOver(run)) => {
            if !takeover::decision(run.as_fd()) {
                warn!("`run` did not take over");
                return Ok(Next::StartNow);
            }
            SupervisorExit::HandedOver
        }
        // Where `/proc` hides processes, `run` asks the agent to stop.
        AgentEnd::Unrequested(AgentStatus::Stopped) => {
            return stop_or_hand_over(inherited, endpoint);
        }
        AgentEnd::Unrequested(AgentStatus::Refused) => SupervisorExit::Refused,
        AgentEnd::Unrequested(AgentStatus::Died(how)) => {
            warn!("the agent {how}");
            return Ok(Next::StartAfterDelay(how));
        }
    };
    Ok(Next::Exit(exit))
}

/// Obeys a request to stop while there is no agent. If a `run` waits, it is that which asks: what it
/// does not accept goes to the next agent.
fn stop_or_hand_over(inherited: &Inherited, endpoint: &Endpoint) -> io::Result<Next> {
    let run = match endpoint.waiting_run() {
        WaitingRun::Connected(run) => run,
        WaitingRun::Killed => {
            warn!("the `run` that asked to take over was killed");
            return Ok(Next::StartNow);
        }
        WaitingRun::None => return Ok(Next::Exit(SupervisorExit::Stopped)),
    };
    if takeover::hand_over(run.as_fd(), inherited.descriptors()?) {
        return Ok(Next::Exit(SupervisorExit::HandedOver));
    }
    if endpoint.is_stopped() {
        return Ok(Next::Exit(SupervisorExit::Stopped));
    }
    warn!("`run` did not take over");
    Ok(Next::StartNow)
}
