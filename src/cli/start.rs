//! `start`: ensures that an agent runs in the background.

use std::process::ExitCode;

use super::launch::{ensure_running, matching_environment};
use super::user::become_configured_user;
use crate::adapters::lock;

/// `registry-agent start`
pub fn start(unless_stopped: bool) -> anyhow::Result<ExitCode> {
    let paths = become_configured_user()?;
    if !unless_stopped {
        lock::set_stopped(&paths, false)?;
    }
    ensure_running(&paths, &matching_environment(), unless_stopped)?;
    Ok(ExitCode::SUCCESS)
}
