//! `exchange`: the hidden command that requests one token from AWS for the agent.

use std::process::ExitCode;

use crate::adapters::aws::exchange_process;
use crate::adapters::process;

/// `registry-agent exchange`
pub fn exchange() -> anyhow::Result<ExitCode> {
    process::set_name(c"registry-agent");
    // The agent blocks some, and the programs that print an AWS identity inherit the mask.
    process::unblock_signals()?;
    process::harden()?;
    process::end_with_parent()?;
    exchange_process::answer_request()?;
    Ok(ExitCode::SUCCESS)
}
