//! The docker credential helper, and the kubelet's credential provider plug-in: one question to the
//! agent.

use std::env;
use std::io;
use std::process::ExitCode;

use registry_agent::helper;

fn main() -> ExitCode {
    let program = env::args_os().next().unwrap_or_default();
    let argument = env::args_os().nth(1).map(|argument| argument.to_string_lossy().into_owned());
    helper::run(
        &program,
        argument.as_deref(),
        &mut io::stdin(),
        &mut io::stdout(),
        &mut io::stderr(),
    )
}
