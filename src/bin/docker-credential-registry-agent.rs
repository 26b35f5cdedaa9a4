//! The docker credential helper: one verb, one question to the agent.

use std::env;
use std::io;
use std::process::ExitCode;

use registry_agent::helper;

fn main() -> ExitCode {
    let verb = env::args().nth(1);
    helper::run(verb.as_deref(), &mut io::stdin(), &mut io::stdout(), &mut io::stderr())
}
