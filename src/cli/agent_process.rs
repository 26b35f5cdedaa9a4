//! The two background processes: the supervisor and its agent.

use std::convert::Infallible;
use std::env;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use nix::unistd::Pid;
use tokio::task::LocalSet;

use super::inherited_fds::{InheritedFds, inherit};
use super::launch::{StartNotifier, saved_config, saved_state, warn_unreadable};
use super::logging;
use super::supervision::Supervision;
use crate::adapters::clock::Clock;
use crate::adapters::handoff::{self, Message};
use crate::adapters::paths::Paths;
use crate::adapters::pushed_record;
use crate::adapters::source_files::{CODESPACES_DIR, FileSources};
use crate::adapters::{clock, lock, process, takeover};
use crate::agent::config_watch::ConfigWatch;
use crate::agent::running_agent::{self, Inherited, RunningAgent};
use crate::agent::supervisor::signals;
use crate::agent::{self, AgentExit, AgentSetup, source_set::SourceSet};

/// The pause before another attempt to become the supervisor.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How an agent starts.
#[derive(Debug, Clone, Args)]
pub struct AgentStart {
    /// What became of the agent before, as the end of a sentence
    #[arg(long, hide = true)]
    after: Option<String>,
    /// The process is the same as before
    #[arg(long, hide = true)]
    reloaded: bool,
    /// Whether another agent handed its state over
    #[arg(skip)]
    took_over: bool,
}

impl AgentStart {
    /// The event, unless it is only that the process executed itself again.
    fn event(self) -> Option<String> {
        let how = match self.after {
            _ if self.took_over => " and took over from the previous agent".to_owned(),
            Some(after) => format!(" again: the one before {after}"),
            None => String::new(),
        };
        (!self.reloaded).then(|| format!("the agent started{how}"))
    }
}

/// Runs the supervisor, in a session of its own. `foreground` tells that it replaces a killed `run`,
/// whose standard error it has.
pub fn supervise(
    fds: InheritedFds,
    foreground: bool,
    report: Option<RawFd>,
    adopted: Option<(i32, RawFd)>,
) -> anyhow::Result<ExitCode> {
    // This fails for an agent that took over from a dead supervisor: it already leads a session.
    let _ = nix::unistd::setsid();
    process::set_name(c"registry-agent");
    process::harden()?;
    let paths = Paths::of_this_process();
    let report = report.map(process::take_inherited).transpose()?.map(Into::into);
    let inherited = inherit(fds)?;
    // A supervisor whose thread waits for a file that hangs would keep a killed agent from ending: the
    // kernel lets only one thread look the file up, and the others cannot be killed meanwhile.
    let config = saved_config(&inherited.memfd)?;
    // A machine on which no thread can be started must not stop the agent.
    let _log = logging::init(&config, !foreground).ok();
    let adopted = match adopted {
        Some((pid, control)) => {
            let control = process::take_inherited(control)?;
            Some(RunningAgent { pid: Pid::from_raw(pid), control })
        }
        None => None,
    };
    let supervision =
        Supervision { paths: &paths, foreground, replaceable: lock::is_replaceable(&paths) };
    supervision.run(inherited, adopted, &mut StartNotifier(report))
}

/// Runs the agent, under a supervisor.
pub fn agent(
    fds: InheritedFds,
    control: RawFd,
    foreground: bool,
    mut start: AgentStart,
) -> anyhow::Result<ExitCode> {
    process::set_name(c"registry-agent");
    signals::block_for_agent()?;
    process::harden()?;
    // Before a reload this process may have had children.
    running_agent::reap_orphans(None)?;
    let mut inherited = inherit(fds)?;
    let control = process::take_inherited(control)?;
    if let Some(previous) = inherited.previous.take() {
        if !takeover::accept(previous.as_fd()) {
            return Ok(ExitCode::from(running_agent::REFUSED));
        }
        // Should this process die now, the next one accepts again, which changes nothing.
        let _ = handoff::send(control.as_fd(), &Message::Accepted);
        start.took_over = true;
    }
    let paths = Paths::of_this_process();
    let (exit, log) = run_agent(&inherited, &control, foreground, &paths, start)?;
    let process = AgentProcess { inherited, control, foreground, paths };
    match exit {
        AgentExit::Stopped => Ok(ExitCode::SUCCESS),
        AgentExit::Asked(message, latest) => process.obey(message, latest, log),
        AgentExit::Reconfigured(latest) => {
            tracing::info!("the configuration has changed; reading it again");
            process.reload(latest, log)
        }
        AgentExit::Orphaned(latest) => process.replace_supervisor(latest, log),
    }
}

fn run_agent(
    inherited: &Inherited,
    control: &OwnedFd,
    foreground: bool,
    paths: &Paths,
    start: AgentStart,
) -> anyhow::Result<(AgentExit, logging::Log)> {
    let mut unreadable = None;
    let mut state = saved_state(&inherited.memfd, |error| unreadable = Some(error))?;
    let (config, config_watch) = ConfigWatch::load(paths, &mut state);
    let log = logging::init(&config, !foreground)?;
    if let Some(error) = unreadable {
        warn_unreadable(error);
    }
    let configured: Vec<_> = config.sources.iter().filter_map(|path| paths.expand(path)).collect();
    let required = config.own_sources().filter_map(|path| paths.expand(path)).collect();
    let saved = std::mem::take(&mut state.files);
    let files = FileSources::new(Path::new(CODESPACES_DIR), &configured, saved).requiring(required);
    let sources = SourceSet::new(files, &mut state, config.github_token)
        .after_losing(pushed_record::read(paths));
    let setup = AgentSetup {
        listener: inherited.listener.try_clone()?,
        control: control.try_clone()?,
        latest: inherited.memfd.try_clone()?,
        state,
        start: start.event(),
        sources,
        config,
        config_watch,
        paths: paths.clone(),
        reports_status: foreground && env::var_os("NOTIFY_SOCKET").is_some(),
        clock: Clock::system(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = LocalSet::new().block_on(&runtime, agent::run(setup));
    // A thread that waits for a hung file system must not keep this process alive.
    runtime.shutdown_background();
    Ok((exit?, log))
}

/// An agent that has stopped serving.
struct AgentProcess {
    inherited: Inherited,
    control: OwnedFd,
    foreground: bool,
    paths: Paths,
}

impl AgentProcess {
    fn obey(
        mut self,
        message: Message,
        latest: OwnedFd,
        log: logging::Log,
    ) -> anyhow::Result<ExitCode> {
        match message {
            Message::Reload { lock, listener } => {
                (self.inherited.lock, self.inherited.listener) = (lock.into(), listener.into());
            }
            Message::HandOver(run) => {
                self.inherited.memfd = latest.try_clone()?;
                let is_accepted = takeover::hand_over(run.as_fd(), self.inherited.descriptors()?);
                // A user who stops the agent ends the takeover as well.
                if is_accepted || lock::is_stopped(&self.paths) {
                    return Ok(ExitCode::SUCCESS);
                }
                tracing::warn!("`run` did not take over; serving again");
            }
            _ => {}
        }
        self.reload(latest, log)
    }

    /// Executes the agent again with what it has. The supervisor need not notice: the process stays
    /// the same.
    fn reload(mut self, latest: OwnedFd, log: logging::Log) -> anyhow::Result<ExitCode> {
        self.inherited.memfd = latest;
        let (mut arguments, _queue) = running_agent::arguments("agent", &self.inherited)?;
        arguments.push(running_agent::argument("control", self.control.as_fd())?);
        arguments.push("--reloaded".to_owned());
        arguments.extend(self.foreground.then(|| "--foreground".to_owned()));
        drop(log);
        process::reexec(&arguments, &self.paths.environment()).context("reloading failed")?;
        Ok(ExitCode::FAILURE)
    }

    /// Starts the next agent and becomes its supervisor. The agent receives the state before this
    /// process gives it up, so that the death of either loses nothing.
    fn replace_supervisor(
        mut self,
        latest: OwnedFd,
        log: logging::Log,
    ) -> anyhow::Result<ExitCode> {
        tracing::warn!("the supervisor died; this process takes its place");
        // The init system starts `run` again, which takes over from here.
        if self.foreground
            && let Err(error) = lock::set_replaceable(&self.paths, true)
        {
            tracing::warn!("the next `run` cannot take this agent over: {error}");
        }
        self.inherited.memfd = latest;
        let mut log = Some(log);
        let mut next = None;
        // The machine may be out of memory or processes for a while. This process must not exit: it
        // holds the only copy of the state.
        loop {
            if next.is_none() {
                let after = Some("took the place of its dead supervisor");
                let spawned = RunningAgent::spawn(&self.inherited, self.foreground, after);
                let warn = |error: &_| tracing::warn!("the agent cannot be started: {error}");
                next = spawned.inspect_err(warn).ok();
            }
            drop(log.take());
            let Err(error) = self.become_supervisor(next.as_ref());
            tracing::warn!("the supervisor cannot be replaced: {error}; retrying");
            clock::pause(RETRY_PAUSE);
        }
    }

    /// Executes this program as the supervisor of `next`, or as one that starts an agent itself.
    fn become_supervisor(&self, next: Option<&RunningAgent>) -> io::Result<Infallible> {
        let (mut arguments, _queue) = running_agent::arguments("supervise", &self.inherited)?;
        arguments.extend(self.foreground.then(|| "--foreground".to_owned()));
        if let Some(next) = next {
            arguments.push(format!("--agent={}", next.pid));
            arguments.push(running_agent::argument("control", next.control.as_fd())?);
        }
        signals::block()?;
        process::reexec(&arguments, &self.paths.environment())
    }
}
