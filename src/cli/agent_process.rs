//! The two background processes: the supervisor and its agent.

use std::os::fd::{AsFd, RawFd};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use nix::unistd::Pid;
use tokio::task::LocalSet;

use super::inherited_fds::{InheritedFds, inherit};
use super::launch::{StartNotifier, saved_state};
use super::logging;
use crate::adapters::clock::Clock;
use crate::adapters::endpoint::Endpoint;
use crate::adapters::paths::Paths;
use crate::adapters::source_files::{CODESPACES_DIR, FileSources};
use crate::adapters::{config, process, takeover};
use crate::agent::config_watch::ConfigWatch;
use crate::agent::running_agent::{self, RunningAgent};
use crate::agent::supervisor;
use crate::agent::{self, AgentExit, AgentSetup, source_set::SourceSet};

/// Runs the supervisor, in a session of its own.
pub fn supervise(
    fds: InheritedFds,
    report: Option<RawFd>,
    adopted: Option<(i32, RawFd)>,
) -> anyhow::Result<ExitCode> {
    // This fails for an agent that took over from a dead supervisor: it already leads a session.
    let _ = nix::unistd::setsid();
    process::set_name(c"registry-agent");
    process::harden()?;
    let paths = Paths::of_this_process();
    // An error in the configuration must not stop the agent or lose its state.
    let config = config::load(&paths.config_files()).unwrap_or_default();
    let _log = logging::init(&config.log_level, true)?;
    let report = report.map(process::take_inherited).transpose()?.map(Into::into);
    let mut inherited = inherit(fds)?;
    let adopted = match adopted {
        Some((pid, control)) => {
            let control = process::take_inherited(control)?;
            Some(RunningAgent { pid: Pid::from_raw(pid), control })
        }
        None => None,
    };
    let socket = inherited.listener.local_addr()?;
    let socket = socket.as_pathname().context("the socket has no path")?.to_owned();
    let mut endpoint = Endpoint::new(paths.clone(), socket);
    let mut notifier = StartNotifier(report);
    let done = supervisor::supervise(&mut inherited, false, adopted, &mut endpoint, &mut notifier);
    let lock = inherited.lock.try_clone()?;
    match takeover::hand_over(&paths, inherited.into()) {
        Ok(true) => return Ok(ExitCode::SUCCESS),
        Ok(false) => {}
        Err(error) => tracing::warn!("the agent cannot be handed over to `run`: {error}"),
    }
    endpoint.release(&lock)?;
    done?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the agent, under a supervisor.
pub fn agent(fds: InheritedFds, control: RawFd, foreground: bool) -> anyhow::Result<ExitCode> {
    process::set_name(c"registry-agent");
    // The supervisor blocks signals to read them from a descriptor, and its children inherit the
    // mask.
    process::unblock_signals()?;
    process::harden()?;
    let mut inherited = inherit(fds)?;
    let control = process::take_inherited(control)?;
    let paths = Paths::of_this_process();
    let mut memory = saved_state(&inherited.memory)?;
    let (config, config_watch) = ConfigWatch::load(&paths, &mut memory);
    let log = logging::init(&config.log_level, !foreground)?;
    let configured: Vec<_> = config.sources.iter().map(|path| paths.expand(path)).collect();
    let saved = std::mem::take(&mut memory.files);
    let files = FileSources::new(Path::new(CODESPACES_DIR), &configured, saved);
    let sources = SourceSet::new(files, &mut memory, config.github_token);
    let setup = AgentSetup {
        listener: inherited.listener.try_clone()?,
        control,
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
        // The init system restarts both.
        AgentExit::Orphaned(_) if foreground => Ok(ExitCode::FAILURE),
        AgentExit::Orphaned(latest) => {
            tracing::warn!("the supervisor died; this process takes its place");
            inherited.memory = latest;
            // The next agent receives the state before this process gives it up, so that the death
            // of either loses nothing.
            let next = RunningAgent::spawn(&inherited, foreground)?;
            let mut arguments = running_agent::arguments("supervise", &inherited)?;
            arguments.push(format!("--agent={}", next.pid));
            arguments.push(running_agent::argument("control", next.control.as_fd())?);
            drop(log);
            process::reexec(&arguments, &paths.environment()).context("taking over failed")?;
            Ok(ExitCode::FAILURE)
        }
    }
}
