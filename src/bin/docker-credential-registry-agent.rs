//! The credential helper of docker, the kubelet and the package clients: one question to the agent.

use std::alloc::System;
use std::env;
use std::io;
use std::process::ExitCode;

use registry_agent::helper;
use zeroizing_alloc::ZeroAlloc;

/// Zeroes what is freed: libraries also copy secrets, and buffers that grow leave copies behind.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<_> = arguments.collect();
    helper::run(&program, &arguments, &mut io::stdin(), &mut io::stdout(), &mut io::stderr())
}
