//! The process that asks AWS for one token, on behalf of the agent.

use std::process::ExitCode;

use crate::adapters::aws::exchange_process;
use crate::adapters::process;

/// `registry-agent exchange`, which the agent starts.
pub fn exchange() -> anyhow::Result<ExitCode> {
    process::set_name(c"registry-agent");
    process::harden()?;
    process::end_with_parent()?;
    exchange_process::answer_request()?;
    Ok(ExitCode::SUCCESS)
}
