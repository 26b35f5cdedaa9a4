//! The two background processes: the supervisor and its agent.

use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use nix::unistd::Pid;
use tokio::task::LocalSet;

use super::inherited_fds::{InheritedFds, inherit};
use super::launch::{StartNotifier, saved_state};
use super::{logging, supervision};
use crate::adapters::clock::Clock;
use crate::adapters::handoff::Message;
use crate::adapters::paths::Paths;
use crate::adapters::source_files::{CODESPACES_DIR, FileSources};
use crate::adapters::{lock, process, takeover};
use crate::agent::config_watch::{self, ConfigWatch};
use crate::agent::running_agent::{self, Inherited, RunningAgent};
use crate::agent::supervisor;
use crate::agent::{self, AgentExit, AgentSetup, source_set::SourceSet};

/// How long a supervisor waits for the configuration, from which it needs the log level alone.
const CONFIG_TIMEOUT: Duration = Duration::from_millis(500);

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
    // An error in the configuration or a file system that hangs must not stop the agent.
    let config = config_watch::load_within(CONFIG_TIMEOUT, paths.config_files());
    let config = config.and_then(Result::ok).unwrap_or_default();
    let _log = logging::init(&config, !foreground)?;
    let report = report.map(process::take_inherited).transpose()?.map(Into::into);
    let inherited = inherit(fds)?;
    let adopted = match adopted {
        Some((pid, control)) => {
            let control = process::take_inherited(control)?;
            Some(RunningAgent { pid: Pid::from_raw(pid), control })
        }
        None => None,
    };
    supervision::supervise(&paths, inherited, foreground, adopted, &mut StartNotifier(report))
}

/// Runs the agent, under a supervisor.
pub fn agent(fds: InheritedFds, control: RawFd, foreground: bool) -> anyhow::Result<ExitCode> {
    process::set_name(c"registry-agent");
    // The supervisor blocks signals to read them from a descriptor, and its children inherit the
    // mask.
    process::unblock_signals()?;
    process::harden()?;
    // Before a reload this process may have had children.
    running_agent::reap_orphans(None)?;
    let mut inherited = inherit(fds)?;
    if let Some(previous) = inherited.previous.take() {
        takeover::accept(previous.as_fd());
    }
    let control = process::take_inherited(control)?;
    let paths = Paths::of_this_process();
    let mut memory = saved_state(&inherited.memory)?;
    let (config, config_watch) = ConfigWatch::load(&paths, &mut memory);
    let log = logging::init(&config, !foreground)?;
    let configured: Vec<_> = config.sources.iter().map(|path| paths.expand(path)).collect();
    let saved = std::mem::take(&mut memory.files);
    let files = FileSources::new(Path::new(CODESPACES_DIR), &configured, saved);
    let sources = SourceSet::new(files, &mut memory, config.github_token);
    let setup = AgentSetup {
        listener: inherited.listener.try_clone()?,
        control: control.try_clone()?,
        latest: inherited.memory.try_clone()?,
        memory,
        sources,
        config,
        config_watch,
        paths: paths.clone(),
        clock: Clock::system(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = LocalSet::new().block_on(&runtime, agent::run(setup));
    // A thread that waits for a hung file system must not keep this process alive.
    runtime.shutdown_background();
    match exit? {
        AgentExit::Stopped => Ok(ExitCode::SUCCESS),
        AgentExit::Asked(message, latest) => {
            inherited.memory = latest;
            match message {
                Message::Reload { lock, listener } => {
                    (inherited.lock, inherited.listener) = (lock.into(), listener.into());
                }
                Message::HandOver(run) => {
                    if takeover::hand_over(run.as_fd(), inherited.descriptors()?) {
                        return Ok(ExitCode::SUCCESS);
                    }
                    tracing::warn!("`run` did not take over; serving again");
                    lock::set_replaceable(&paths, true)?;
                }
                _ => {}
            }
            drop(log);
            reload(&inherited, control.as_fd(), foreground, &paths)
        }
        AgentExit::Reconfigured(latest) => {
            tracing::info!("the configuration has changed; reading it again");
            inherited.memory = latest;
            drop(log);
            reload(&inherited, control.as_fd(), foreground, &paths)
        }
        AgentExit::Orphaned(latest) => {
            tracing::warn!("the supervisor died; this process takes its place");
            // The init system starts `run` again, which takes over from here.
            if foreground && let Err(error) = lock::set_replaceable(&paths, true) {
                tracing::warn!("the next `run` cannot take this agent over: {error}");
            }
            inherited.memory = latest;
            // The next agent receives the state before this process gives it up, so that the death
            // of either loses nothing.
            let next = RunningAgent::spawn(&inherited, foreground)?;
            let (mut arguments, _queue) = running_agent::arguments("supervise", &inherited)?;
            arguments.extend(foreground.then(|| "--foreground".to_owned()));
            arguments.push(format!("--agent={}", next.pid));
            arguments.push(running_agent::argument("control", next.control.as_fd())?);
            supervisor::block_signals()?;
            drop(log);
            process::reexec(&arguments, &paths.environment()).context("taking over failed")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Executes the agent again with what it has. The supervisor need not notice: the process stays the
/// same.
fn reload(
    inherited: &Inherited,
    control: BorrowedFd<'_>,
    foreground: bool,
    paths: &Paths,
) -> anyhow::Result<ExitCode> {
    let (mut arguments, _queue) = running_agent::arguments("agent", inherited)?;
    arguments.push(running_agent::argument("control", control)?);
    arguments.extend(foreground.then(|| "--foreground".to_owned()));
    process::reexec(&arguments, &paths.environment()).context("reloading failed")?;
    Ok(ExitCode::FAILURE)
}
