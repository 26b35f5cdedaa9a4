//! `stop`: ends the agent and prevents the helper from starting it again.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::output::stdout;
use super::user::become_configured_user;
use crate::adapters::agent_client;
use crate::adapters::clock;
use crate::adapters::lock::{self, LockError};
use crate::adapters::paths::Paths;
use crate::adapters::pushed_record;

/// Longer than a supervisor needs, including the time to kill its agent.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(4);
/// How long a request to the agent itself may take. `run` cannot accept what it takes over meanwhile, for
/// which it has 2 s.
const AGENT_TIMEOUT: Duration = Duration::from_millis(500);
/// If a supervisor is killed, its agent takes its place and must be ended as well.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// The pause between two checks of the lock.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

/// `registry-agent stop`
pub fn stop(json: bool) -> anyhow::Result<ExitCode> {
    // A configuration that cannot be read must not prevent stopping the agent.
    let paths = become_configured_user().unwrap_or_else(|_| Paths::of_this_process());
    lock::set_stopped(&paths, true)?;
    let was_running = end_running(&paths)?;
    // An agent that hangs does not remove it itself.
    pushed_record::forget(&paths);
    let mut out = stdout();
    match (json, was_running) {
        (true, stopped) => writeln!(out, "{{\"stopped\": {stopped}}}")?,
        (false, true) => writeln!(out, "stopped")?,
        (false, false) => writeln!(out, "no agent was running")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends the supervisor and its agent, even if they hang, and returns once the lock is free. Returns
/// whether there was one.
pub(super) fn end_running(paths: &Paths) -> anyhow::Result<bool> {
    let deadline = Instant::now() + STOP_TIMEOUT;
    let mut request = StopRequest::default();
    let mut was_running = false;
    loop {
        match lock::take(paths) {
            Ok(_) => return Ok(was_running),
            Err(LockError::Held(_)) if Instant::now() < deadline => {}
            Err(LockError::Held(dir)) => {
                bail!("{} does not stop", lock::holder(paths, &dir))
            }
            Err(error) => return Err(error.into()),
        }
        was_running = true;
        request.repeat(paths, lock::supervisor(paths));
        clock::pause(PAUSE);
    }
}

/// Asks whoever supervises to end, and kills it when it does not.
#[derive(Default)]
pub(super) struct StopRequest(Option<(Option<Pid>, Instant)>);

impl StopRequest {
    /// Asks this `supervisor`. Call it until the lock is free.
    pub(super) fn repeat(&mut self, paths: &Paths, supervisor: Option<Pid>) {
        match self.0 {
            Some((known, since)) if known == supervisor => {
                if since.elapsed() > SUPERVISOR_GRACE {
                    self.0 = None;
                    signal(supervisor, Signal::SIGKILL);
                }
            }
            _ => {
                self.0 = Some((supervisor, Instant::now()));
                signal(supervisor, Signal::SIGTERM);
                // A stopped process handles the signal only after it is continued.
                signal(supervisor, Signal::SIGCONT);
                if supervisor.is_none() {
                    // Where `/proc` hides processes, the supervisor cannot be found, so ask the
                    // agent itself.
                    let asked =
                        agent_client::ask(paths, "POST", "/v1/shutdown", b"", AGENT_TIMEOUT);
                    if asked.is_err() {
                        self.0 = None;
                    }
                }
            }
        }
    }
}

fn signal(process: Option<Pid>, signal: Signal) {
    if let Some(pid) = process {
        // The process may have ended in the meantime.
        let _ = kill(pid, signal);
    }
}
