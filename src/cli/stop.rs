//! `stop`: ends the agent, and keeps the helper from starting it again.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::user::become_configured_user;
use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::clock;
use crate::adapters::lock::{self, LockError};
use crate::adapters::paths::Paths;

/// An agent drains within two seconds; its supervisor ends right after.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// `registry-agent stop`
pub fn stop() -> anyhow::Result<ExitCode> {
    // A configuration that cannot be read must not keep anybody from stopping.
    let paths =
        become_configured_user().map_or_else(|_| Paths::of_this_process(), |(paths, _)| paths);
    lock::set_stopped(&paths, true)?;
    let deadline = Instant::now() + STOP_TIMEOUT;
    match agent_client::ask(&paths, "POST", "/v1/shutdown", b"", STOP_TIMEOUT) {
        Ok(_)
        | Err(ClientError::NoAgent | ClientError::NotOurs { .. } | ClientError::Broken(_)) => {}
        Err(error) => return Err(error.into()),
    }
    loop {
        match lock::take(&paths) {
            Ok(_) => return Ok(ExitCode::SUCCESS),
            Err(LockError::Held(_)) if Instant::now() < deadline => {
                clock::pause(Duration::from_millis(20));
            }
            Err(LockError::Held(dir)) => {
                bail!("the agent that holds the lock {} does not stop", dir.display())
            }
            Err(error) => return Err(error.into()),
        }
    }
}
