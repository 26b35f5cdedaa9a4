//! The version of docker in this shell.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::adapters::clock;

/// Longer than `docker --version` takes, which asks no engine.
const VERSION_TIMEOUT: Duration = Duration::from_secs(2);

/// The version of docker if it is older than this one. `None` also where docker does not say, and
/// where `docker` is another program.
pub(super) fn older_than(version: (u32, u32)) -> Option<String> {
    let stated = stated(&output()?)?.to_owned();
    let mut numbers = stated.split('.').map(str::parse);
    let found = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (found < version).then_some(stated)
}

/// The version in `Docker version 28.2.2, build e6534b4`.
fn stated(output: &str) -> Option<&str> {
    let version = output.strip_prefix("Docker version ")?;
    version.split([',', ' ', '+', '\n']).next()
}

fn output() -> Option<String> {
    let mut docker = Command::new("docker");
    docker.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = docker.spawn().ok()?;
    if !succeeds(&mut child) {
        // It may have ended already.
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    let mut text = String::new();
    child.stdout.take()?.read_to_string(&mut text).ok()?;
    Some(text)
}

fn succeeds(child: &mut Child) -> bool {
    let deadline = Instant::now() + VERSION_TIMEOUT;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(None) => clock::pause(Duration::from_millis(10)),
            Ok(Some(status)) => return status.success(),
            Err(_) => return false,
        }
    }
    false
}
