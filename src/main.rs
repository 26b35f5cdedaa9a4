//! `registry-agent`: the agent and its commands.

use std::process::ExitCode;

use registry_agent::adapters::process;
use registry_agent::cli::command_line;

fn main() -> ExitCode {
    if let Err(error) = process::watch_children() {
        return command_line::print_error(&error.into());
    }
    command_line::run()
}
