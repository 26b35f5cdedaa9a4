//! `completions`: a completion script for a shell.

use std::io::Write;
use std::process::ExitCode;

use clap_complete::Shell;

use super::output::stdout;

/// `registry-agent completions`
pub fn completions(shell: Shell, command: &mut clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "registry-agent", &mut script);
    stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
