//! `stop`: ends the agent, and keeps the helper from starting it again.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::user::become_configured_user;
use crate::adapters::agent_client;
use crate::adapters::clock;
use crate::adapters::lock::{self, LockError};
use crate::adapters::paths::Paths;

/// Longer than a supervisor takes that has to kill its agent.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(4);
/// A killed supervisor's agent takes its place, and is ended like it.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// The pause between two looks at the lock.
const PAUSE: Duration = Duration::from_millis(5);

/// `registry-agent stop`
pub fn stop() -> anyhow::Result<ExitCode> {
    // A configuration that cannot be read must not keep anybody from stopping.
    let paths = become_configured_user().unwrap_or_else(|_| Paths::of_this_process());
    lock::set_stopped(&paths, true)?;
    end_running(&paths)?;
    Ok(ExitCode::SUCCESS)
}

/// Ends the supervisor and its agent, hung ones too, and returns once the lock is free.
fn end_running(paths: &Paths) -> anyhow::Result<()> {
    let deadline = Instant::now() + STOP_TIMEOUT;
    let mut asked: Option<(Option<Pid>, Instant)> = None;
    loop {
        match lock::take(paths) {
            Ok(_) => return Ok(()),
            Err(LockError::Held(_)) if Instant::now() < deadline => {}
            Err(LockError::Held(dir)) => {
                bail!("the agent that holds the lock {} does not stop", dir.display())
            }
            Err(error) => return Err(error.into()),
        }
        let supervisor = lock::supervisor(paths);
        match asked {
            Some((known, since)) if known == supervisor => {
                if since.elapsed() > SUPERVISOR_GRACE {
                    asked = None;
                    signal(supervisor, Signal::SIGKILL);
                }
            }
            _ => {
                asked = Some((supervisor, Instant::now()));
                signal(supervisor, Signal::SIGTERM);
                // A stopped process acts on it only when it continues.
                signal(supervisor, Signal::SIGCONT);
                if supervisor.is_none() {
                    // Where `/proc` hides processes, the agent itself can be asked.
                    let _ = agent_client::ask(paths, "POST", "/v1/shutdown", b"", SUPERVISOR_GRACE);
                }
            }
        }
        clock::pause(PAUSE);
    }
}

fn signal(process: Option<Pid>, signal: Signal) {
    if let Some(pid) = process {
        // It may have ended just now.
        let _ = kill(pid, signal);
    }
}
