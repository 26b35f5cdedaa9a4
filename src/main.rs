//! The agent and every command about it.

use std::process::ExitCode;

use registry_agent::edge::sys;
use registry_agent::face::cli;

fn main() -> ExitCode {
    if let Err(error) = sys::adopt_inherited() {
        return cli::complain(&error.into());
    }
    cli::run()
}
