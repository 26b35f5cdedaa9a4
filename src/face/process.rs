//! The two processes in the background: the supervisor and its agent.

use std::io;
use std::os::fd::{AsFd, RawFd};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use tokio::task::LocalSet;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use super::cli::Fds;
use super::start::{Starter, inherit};
use crate::agent::supervisor::{self, AGAIN};
use crate::agent::{self, Ending, Setup, gather::Gatherer};
use crate::edge::clock::Clock;
use crate::edge::paths::Paths;
use crate::edge::sources::{CODESPACES_DIR, FileSources};
use crate::edge::{config, lock, memory, stored, sys};
use crate::wire::memory::Memory;

/// The supervisor, in a session of its own.
pub fn supervise(fds: Fds, report: Option<RawFd>) -> anyhow::Result<ExitCode> {
    // One that took over from a dead supervisor leads a session already.
    let _ = nix::unistd::setsid();
    sys::set_name(c"registry-agent");
    sys::harden()?;
    let paths = Paths::of_this_process();
    let config = config::load(&paths.config_files())?;
    log(&config.log_level);
    let report = report.map(sys::take_inherited).transpose()?.map(Into::into);
    let mut estate = inherit(fds)?;
    let socket = estate.listener.local_addr()?.as_pathname().map(ToOwned::to_owned);
    let done = supervisor::supervise(&mut estate, false, &mut Starter(report));
    if let Some(socket) = socket {
        lock::remove_if_there(&socket)?;
    }
    done?;
    Ok(ExitCode::SUCCESS)
}

/// The agent, under a supervisor.
pub fn agent(fds: Fds, control: RawFd, foreground: bool) -> anyhow::Result<ExitCode> {
    sys::set_name(c"registry-agent");
    sys::harden()?;
    let mut estate = inherit(fds)?;
    let control = sys::take_inherited(control)?;
    let paths = Paths::of_this_process();
    let config = config::load(&paths.config_files())?;
    log(&config.log_level);
    let mut memory = read(&estate.memory)?;
    let configured: Vec<_> = config.sources.iter().map(|path| paths.expand(path)).collect();
    let files = FileSources::new(Path::new(CODESPACES_DIR), &configured);
    let mut gatherer = Gatherer::new(files, &mut memory, config.github_token);
    stored::sweep(&paths.state_dir());
    gatherer.open_stored(&paths.state_dir());
    // Before any thread exists, for the libraries that look there.
    sys::set_environment(gatherer.process_environment());
    let setup = Setup {
        listener: estate.listener.try_clone()?,
        control,
        latest: estate.memory.try_clone()?,
        memory,
        gatherer,
        config,
        paths: paths.clone(),
        clock: Clock::system(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ending = LocalSet::new().block_on(&runtime, agent::run(setup));
    drop(runtime);
    match ending? {
        Ending::Stopped => Ok(ExitCode::SUCCESS),
        Ending::Restart => Ok(ExitCode::from(AGAIN)),
        // The init system starts both anew.
        Ending::Orphaned(_) if foreground => Ok(ExitCode::FAILURE),
        Ending::Orphaned(latest) => {
            tracing::warn!("the supervisor died; this process takes its place");
            estate.memory = latest;
            let arguments = supervisor::arguments("supervise", &estate, None)?;
            sys::start_over(&arguments, &paths.environment()).context("taking over failed")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn read(memory: &impl AsFd) -> io::Result<Memory> {
    let content = memory::read(memory.as_fd())?;
    if content.is_empty() {
        return Ok(Memory::default());
    }
    // An agent of another version may have left something else; the sources bring most of it back.
    Ok(serde_json::from_slice(&content).unwrap_or_default())
}

/// Logs to standard error, at `level` unless `REGISTRY_AGENT_LOG` says another one.
pub(super) fn log(level: &str) {
    let asked = std::env::var("REGISTRY_AGENT_LOG").ok();
    let level = asked.as_deref().unwrap_or(level).parse().unwrap_or(LevelFilter::INFO);
    // What the libraries have to say about their connections may hold what nobody should read.
    let ours = Targets::new().with_target("registry_agent", level);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}
