//! Watches one agent until it is gone: its messages, signals for the supervisor, and removed files.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use tracing::warn;

use super::recheck::{LAST_RECHECK, Recheck, RestoreOutcome};
use super::signals::{Request, Signals, wait_for};
use super::{KILL_GRACE, STOP_GRACE, ServiceNotifier, displaced};
use crate::adapters::endpoint::Endpoint;
use crate::adapters::handoff::{self, Message};
use crate::adapters::takeover::{self, WaitingRun};
use crate::agent::running_agent::{AgentStatus, Inherited, RunningAgent};

/// Why the supervisor asked the agent to end.
pub(super) enum EndRequest {
    Stop,
    /// A `run` takes over at the other end of this stream.
    HandOver(OwnedFd),
    /// An agent that may be taken over holds the lock.
    MakeRoom,
    /// A service holds the lock.
    GiveWay,
}

pub(super) enum AgentEnd {
    Requested(EndRequest),
    Unrequested(AgentStatus),
}

pub(super) struct AgentWatch<'a, N> {
    agent: &'a RunningAgent,
    inherited: &'a mut Inherited,
    endpoint: &'a mut Endpoint,
    notifier: &'a mut N,
    recheck: Recheck,
    requested: Option<EndRequest>,
    /// When an agent that was asked to end is killed, and when a killed one is left behind.
    deadline: Option<Instant>,
    is_killed: bool,
    is_control_closed: bool,
    /// When the agent is asked to reload, again if that failed.
    reload_due: Option<Instant>,
    was_ready: bool,
}

/// What is readable.
struct Readable {
    control: bool,
    file_changes: bool,
}

impl<'a, N: ServiceNotifier> AgentWatch<'a, N> {
    pub(super) fn new(
        agent: &'a RunningAgent,
        inherited: &'a mut Inherited,
        endpoint: &'a mut Endpoint,
        notifier: &'a mut N,
    ) -> Self {
        Self {
            agent,
            inherited,
            endpoint,
            notifier,
            recheck: Recheck::new(),
            requested: None,
            deadline: None,
            is_killed: false,
            is_control_closed: false,
            reload_due: None,
            was_ready: false,
        }
    }

    /// Returns once the agent is gone, with whether it was ever ready.
    pub(super) fn run(mut self, signals: &Signals) -> io::Result<(AgentEnd, bool)> {
        loop {
            if let Some(requested) = self.enforce_deadline() {
                return Ok((AgentEnd::Requested(requested), self.was_ready));
            }
            let readable = self.wait(signals)?;
            let request = signals.take_requests()?;
            if readable.file_changes || self.recheck.due().is_some_and(is_past) {
                self.restore(readable.file_changes);
            }
            self.handle(request);
            self.send_reload();
            if readable.control {
                self.receive();
                // Read all messages that the agent sent before it died. Its death closes the socket,
                // so the SIGCHLD that was read above is not missed.
                if !self.is_control_closed {
                    continue;
                }
            }
            if let Some(status) = self.agent.try_wait()? {
                let end = self.requested.map_or(AgentEnd::Unrequested(status), AgentEnd::Requested);
                return Ok((end, self.was_ready));
            }
        }
    }

    /// Kills an agent that does not end in time. Returns why it was asked to end if it cannot be
    /// killed either.
    fn enforce_deadline(&mut self) -> Option<EndRequest> {
        if !self.deadline.is_some_and(is_past) {
            return None;
        }
        if self.is_killed
            && let Some(requested) = self.requested.take()
        {
            warn!("the agent hangs in the kernel and cannot be killed; leaving it behind");
            return Some(requested);
        }
        warn!("the agent does not end by itself and is killed");
        self.agent.kill();
        self.is_killed = true;
        self.deadline = Some(Instant::now() + KILL_GRACE);
        None
    }

    fn wait(&self, signals: &Signals) -> io::Result<Readable> {
        let reload_due = self.reload_due.filter(|_| self.requested.is_none());
        let next = [self.deadline, self.recheck.due(), reload_due].into_iter().flatten().min();
        let timeout = next.map(|at| at.saturating_duration_since(Instant::now()));
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        // A closed control socket stays readable, so polling it would spin.
        let control = (!self.is_control_closed).then(|| self.agent.control.as_fd());
        let changes = self.endpoint.changes();
        let mut watched = vec![readable(signals.as_fd())];
        watched.extend([control, changes].into_iter().flatten().map(readable));
        wait_for(&mut watched, timeout)?;
        let mut ready = watched.iter().skip(1).map(|fd| fd.any().unwrap_or_default());
        Ok(Readable {
            control: control.is_some() && ready.next().unwrap_or_default(),
            file_changes: changes.is_some() && ready.next().unwrap_or_default(),
        })
    }

    fn restore(&mut self, has_changed: bool) {
        match self.recheck.restore(has_changed, self.endpoint, self.inherited) {
            RestoreOutcome::Recreated => self.reload_due = Some(Instant::now()),
            RestoreOutcome::Displaced if self.requested.is_none() => self.make_room(),
            RestoreOutcome::InPlace | RestoreOutcome::Displaced => {}
        }
    }

    /// Ends the agent if another holds the lock, once it is sure that nothing is lost.
    fn make_room(&mut self) {
        let is_service = self.endpoint.is_held_by_service();
        if is_service {
            let passed = displaced::pass_on(self.endpoint.paths(), self.inherited.memfd.as_fd());
            if let Err(error) = passed {
                warn!("a service holds the lock, but does not accept what was pushed: {error}");
                return;
            }
        }
        self.agent.terminate();
        self.request_end(
            if is_service { EndRequest::GiveWay } else { EndRequest::MakeRoom },
            STOP_GRACE,
        );
    }

    fn handle(&mut self, request: Option<Request>) {
        match (request, self.requested.take()) {
            (Some(Request::Stop), None) => match self.endpoint.waiting_run() {
                WaitingRun::Connected(run) => self.hand_over(run),
                WaitingRun::Killed => warn!("the `run` that asked to take over was killed"),
                WaitingRun::None => self.stop(),
            },
            (Some(Request::Stop), Some(EndRequest::HandOver(run)))
                if self.endpoint.is_stopped() && takeover::refuse(run.as_fd()) =>
            {
                self.stop();
            }
            (request, requested) => {
                if request == Some(Request::Reload) {
                    self.reload_due = Some(Instant::now());
                    self.notifier.reloading();
                }
                self.requested = requested;
            }
        }
    }

    /// Asks the agent to hand over to `run`. If it is dead or does not read the request, the next agent
    /// is asked: to stop would lose the state.
    fn hand_over(&mut self, run: OwnedFd) {
        if !self.agent.hand_over(&run) {
            self.agent.terminate();
        }
        self.request_end(EndRequest::HandOver(run), takeover::TIMEOUT + STOP_GRACE);
    }

    fn stop(&mut self) {
        self.notifier.stopping();
        self.agent.terminate();
        self.request_end(EndRequest::Stop, STOP_GRACE);
    }

    fn request_end(&mut self, requested: EndRequest, grace: Duration) {
        self.deadline = Some(Instant::now() + grace);
        self.requested = Some(requested);
    }

    /// Asks the agent to reload, if that is due. An agent that hands over is asked if it serves again.
    fn send_reload(&mut self) {
        if self.requested.is_some() || !self.reload_due.is_some_and(is_past) {
            return;
        }
        self.reload_due = None;
        if let Err(error) = self.agent.reload(self.inherited) {
            warn!("the agent cannot be asked to reload: {error}; retrying");
            self.reload_due = Some(Instant::now() + LAST_RECHECK);
        }
    }

    fn receive(&mut self) {
        match handoff::receive(self.agent.control.as_fd()) {
            Ok(Some(message)) => {
                // An agent accepts what was taken over before it sends anything.
                if self.inherited.previous.take().is_some() {
                    self.endpoint.announce();
                }
                match message {
                    Message::SaveState(memfd) => {
                        self.notifier.state_saved(memfd.as_fd());
                        self.inherited.memfd = memfd;
                    }
                    Message::Ready => self.note_ready(),
                    Message::Status(text) => self.notifier.status(&text),
                    _ => {}
                }
            }
            Ok(None) => self.is_control_closed = true,
            Err(error) => warn!("a message of the agent was lost: {error}"),
        }
    }

    fn note_ready(&mut self) {
        self.was_ready = true;
        self.notifier.ready();
        // A `run` that has gone away does not take over, so the agent serves again.
        if let Some(EndRequest::HandOver(run)) = &self.requested
            && takeover::is_abandoned(run.as_fd())
        {
            (self.requested, self.deadline) = (None, None);
        }
    }
}

fn is_past(instant: Instant) -> bool {
    instant <= Instant::now()
}
