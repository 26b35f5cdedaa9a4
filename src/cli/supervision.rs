//! How a process becomes the only supervisor of its user and container, and how it stops being it.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::launch::{saved_state, state_with, warn_unreadable};
use super::stop::{PAUSE, StopRequest};
use crate::adapters::endpoint::Endpoint;
use crate::adapters::lock::{self, LockError};
use crate::adapters::paths::Paths;
use crate::adapters::takeover::{Takeover, WAIT_TIMEOUT};
use crate::adapters::{clock, socket};
use crate::agent::running_agent::{Inherited, RunningAgent};
use crate::agent::supervisor::signals::{Request, Signals};
use crate::agent::supervisor::{ServiceNotifier, SupervisorExit, supervise};
use crate::wire::api::EventDocument;
use crate::wire::handoff::{SavedState, conceal};

/// How long a helper may take to note that it started the agent that holds the lock, and the agent of
/// a dead supervisor to note that it has taken its place.
const NOTE_GRACE: Duration = Duration::from_secs(1);

/// A process that supervises agents.
pub(super) struct Supervision<'a> {
    pub(super) paths: &'a Paths,
    /// Whether an init system started it.
    pub(super) foreground: bool,
    /// Whether `run` may take its agent over.
    pub(super) replaceable: bool,
}

impl Supervision<'_> {
    /// Supervises agents until one stops or is handed over. The first is `adopted`, if there is one.
    pub(super) fn run(
        &self,
        mut inherited: Inherited,
        mut adopted: Option<RunningAgent>,
        notifier: &mut impl ServiceNotifier,
    ) -> anyhow::Result<ExitCode> {
        let signals = Signals::catch()?;
        loop {
            let socket = inherited.listener.local_addr()?;
            let socket = socket.as_pathname().context("the socket has no path")?.to_owned();
            // What replaces a killed `run` has its standard error too, but may be taken over.
            let is_service = self.foreground && !self.replaceable;
            let mut endpoint =
                Endpoint::new(self.paths.clone(), socket, self.replaceable, is_service);
            // Until the takeover is accepted, clients belong to the previous supervisor.
            if inherited.previous.is_none() {
                endpoint.announce();
            }
            let (first, at) = (adopted.take(), &mut endpoint);
            let foreground = self.foreground;
            let exit = supervise(&mut inherited, foreground, first, at, &signals, notifier);
            let next = match exit {
                Ok(SupervisorExit::HandedOver) => return Ok(ExitCode::SUCCESS),
                Ok(SupervisorExit::Superseded) => {
                    bail!("another `run` serves now, and has what was pushed")
                }
                Ok(SupervisorExit::Refused) => {
                    // A copy of the lock would keep it from being free.
                    let memfd = inherited.memfd.try_clone()?;
                    drop(inherited);
                    take_place(self.paths, &memfd, MayReplace::Noted, || Ok(false))?
                }
                Ok(SupervisorExit::Displaced) => match self.displace(&inherited, &signals) {
                    Ok(next) => next,
                    Err(error) => {
                        tracing::warn!("the other agent cannot be taken over: {error:#}; retrying");
                        Some(inherited)
                    }
                },
                other => {
                    // The previous supervisor has the same lock and socket until the takeover is
                    // accepted.
                    if inherited.previous.is_none() {
                        endpoint.release(&inherited.lock)?;
                    }
                    other?;
                    return Ok(ExitCode::SUCCESS);
                }
            };
            let Some(next) = next else { return Ok(ExitCode::SUCCESS) };
            inherited = next;
        }
    }

    /// Takes over the agent that started after the lock was removed; `None` if this process is asked
    /// to stop.
    fn displace(
        &self,
        inherited: &Inherited,
        signals: &Signals,
    ) -> anyhow::Result<Option<Inherited>> {
        tracing::warn!("the lock was removed and another agent started; taking it over");
        let is_stopped = || {
            let request = signals.take_requests()?;
            Ok(request == Some(Request::Stop) || lock::is_stopped(self.paths))
        };
        take_place(self.paths, &inherited.memfd, MayReplace::AllButServices, is_stopped)
    }
}

/// Which agents [`take_place`] takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MayReplace {
    /// Those that are noted as replaceable: a helper started them while no service ran, or a killed
    /// `run` left them.
    Noted,
    /// All but services: nobody would have started them if the lock had stayed.
    AllButServices,
}

/// Takes the lock if it is free, or takes over an agent that may be replaced. `own` is the state to
/// begin with. `None` once `is_stopped` returns true.
pub(super) fn take_place(
    paths: &Paths,
    own: &OwnedFd,
    may_replace: MayReplace,
    is_stopped: impl Fn() -> io::Result<bool>,
) -> anyhow::Result<Option<Inherited>> {
    let begin = Instant::now();
    let mut last_seen = begin;
    let mut takeover = None;
    let mut request = StopRequest::default();
    while !is_stopped()? {
        match lock::take(paths) {
            Ok(lock) => {
                takeover.map_or(Ok(()), Takeover::end)?;
                let (_, listener) = socket::listen(paths)?;
                let memfd = own.try_clone()?;
                return Ok(Some(Inherited { lock, listener, memfd, previous: None }));
            }
            Err(LockError::Held(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let supervisor = lock::supervisor(paths);
        if supervisor.is_some() {
            last_seen = Instant::now();
        }
        let is_service = supervisor.is_some_and(lock::is_service);
        let is_replaceable =
            may_replace == MayReplace::AllButServices || lock::is_replaceable(paths);
        let may_replace = is_replaceable && !is_service;
        if may_replace {
            let takeover = match &mut takeover {
                Some(takeover) if takeover.is_connected() || takeover.is_in_place() => takeover,
                absent => {
                    request = StopRequest::default();
                    absent.insert(Takeover::listen(paths)?)
                }
            };
            if let Some((all, previous)) = takeover.receive()? {
                return Ok(Some(Inherited {
                    lock: all.lock.into(),
                    listener: all.listener.into(),
                    memfd: merged(
                        saved_state(own, warn_unreadable)?,
                        saved_state(&all.memfd, warn_unreadable)?,
                    )?,
                    previous: Some(previous),
                }));
            }
            if takeover.is_connected() {
                // If the connection breaks, the next supervisor has to be asked.
                request = StopRequest::default();
            } else if supervisor.is_some() || last_seen.elapsed() > NOTE_GRACE {
                // An agent whose supervisor is still dying would obey and take the state with it.
                request.repeat(paths, supervisor);
            }
        }
        // The agent of a killed `run` is about to take its place and may then be taken over.
        let patience = if may_replace || supervisor.is_none() { WAIT_TIMEOUT } else { NOTE_GRACE };
        if begin.elapsed() > patience {
            let pid = supervisor.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            bail!(
                "an agent is already running{pid}: run `registry-agent stop` first, and afterwards \
                 `registry-agent sync` in a shell that has all variables, because stopping loses \
                 what shells have sent"
            );
        }
        clock::pause(PAUSE);
    }
    Ok(None)
}

/// The state of an agent that is taken over, with what this process alone knows: a helper starts an
/// agent without anything pushed. The environment of a service replaces the one before it.
fn merged(own: SavedState, mut last: SavedState) -> io::Result<OwnedFd> {
    let has_environment = own.environment_at.is_some();
    let last_environment = std::mem::take(&mut last.environment);
    let environment = conceal(if has_environment { own.environment } else { last_environment });
    if own.pushed_at > last.pushed_at {
        (last.pushed, last.pushed_at, last.kept) = (own.pushed, own.pushed_at, own.kept);
    }
    for (path, file) in own.files {
        last.files.entry(path).or_insert(file);
    }
    for (server, login) in own.logins {
        last.logins.entry(server).or_insert(login);
    }
    for (exchange, token) in own.tokens {
        last.tokens.entry(exchange).or_insert(token);
    }
    last.events = merged_events(own.events, last.events);
    state_with(&environment, last)
}

/// All events, those of `own` before those of `last` that are not the same. Numbers go on increasing.
fn merged_events(mut own: Vec<EventDocument>, mut last: Vec<EventDocument>) -> Vec<EventDocument> {
    own.retain(|event| !last.contains(event));
    if let (Some(before), Some(first)) = (own.last(), last.first())
        && before.seq >= first.seq
    {
        let offset = before.seq + 1 - first.seq;
        for event in &mut last {
            event.seq += offset;
        }
    }
    own.extend(last);
    own
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::domain::reasons::SourceReason;
    use crate::domain::reasons::problem::Problem;
    use crate::wire::exposed_secret::ExposedSecret;
    use crate::wire::handoff::SavedFile;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    fn problem(name: &str) -> Problem {
        let reason = SourceReason::Hanging { path: name.to_owned() }.into();
        Problem { family: None, name: name.to_owned(), source: None, server: None, reason }
    }

    /// A state that was pushed at `second`, in which everything is named `name`.
    fn state(name: &str, second: i64, events: &[u64]) -> SavedState {
        let event = |&seq| EventDocument {
            seq,
            at: at(seq.cast_signed()),
            event: "pushed".to_owned(),
            subject: name.to_owned(),
            detail: name.to_owned(),
        };
        SavedState {
            pushed: Some([(name.to_owned(), ExposedSecret(name.into()))].into()),
            pushed_at: Some(at(second)),
            kept: vec![problem(name)],
            files: [(name.to_owned(), SavedFile { variables: None, problems: Vec::new() })].into(),
            events: events.iter().map(event).collect(),
            ..SavedState::default()
        }
    }

    #[test]
    fn a_takeover_keeps_the_events_and_files_of_both_and_all_of_the_newer_push() {
        for (own_pushed, newer) in [(2, "own"), (0, "last")] {
            let (own, last) = (state("own", own_pushed, &[1, 2]), state("last", 1, &[1, 2, 3]));
            let merged = saved_state(&merged(own, last).unwrap(), warn_unreadable).unwrap();
            assert_eq!(merged.pushed.unwrap().into_keys().collect::<Vec<_>>(), [newer]);
            assert_eq!(merged.kept, [problem(newer)]);
            assert_eq!(merged.files.into_keys().collect::<Vec<_>>(), ["last", "own"]);
            let events = merged.events.iter().map(|event| (event.seq, event.subject.as_str()));
            let expected = [(1, "own"), (2, "own"), (3, "last"), (4, "last"), (5, "last")];
            assert_eq!(events.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn an_event_that_both_know_is_kept_once() {
        let (own, last) = (state("same", 1, &[1, 2, 3]), state("same", 1, &[2, 3, 4]));
        let merged = saved_state(&merged(own, last).unwrap(), warn_unreadable).unwrap();
        let numbers = merged.events.iter().map(|event| event.seq);
        assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
