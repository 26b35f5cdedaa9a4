//! `registry-agent`: the agent and its commands.

use std::alloc::System;
use std::process::ExitCode;

use registry_agent::adapters::process;
use registry_agent::cli::command_line;
use zeroizing_alloc::ZeroAlloc;

/// Zeroes what is freed: libraries also copy secrets, and buffers that grow leave copies behind.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    if let Err(error) = process::watch_children() {
        return command_line::print_error(&error.into());
    }
    command_line::run()
}
