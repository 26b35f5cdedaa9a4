//! The credential helper of docker, the kubelet and the package clients: one question to the agent.

use std::env;
use std::io;
use std::process::ExitCode;

use registry_agent::helper;

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<_> = arguments.collect();
    helper::run(&program, &arguments, &mut io::stdin(), &mut io::stdout(), &mut io::stderr())
}
