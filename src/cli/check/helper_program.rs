//! Runs the credential helper as docker does: with the environment of this process.

use std::io::{self, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::adapters::clock::pause;
use crate::wire::helper::HelperCredential;

/// The most of the helper's message that is shown, in characters.
const MESSAGE_SHOWN: usize = 200;

/// The most that is read of each output, in bytes. A login is smaller.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// How long a helper may run. Ours answers within 12 s.
const TIMEOUT: Duration = Duration::from_secs(13);

/// How often to ask whether a helper that has closed its outputs has ended.
const POLL: Duration = Duration::from_millis(5);

/// What our helper calls itself.
const NAME: &str = "docker-credential-registry-agent ";

/// A credential helper. Errors are the message of the helper.
pub(super) struct HelperProgram(pub(super) PathBuf);

impl HelperProgram {
    /// The version that it states after its name.
    pub(super) fn version(&self) -> Result<String, String> {
        let output = self.run("version", "")?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.trim().strip_prefix(NAME).map(str::trim) {
            Some(version) if !version.contains(char::is_whitespace) => Ok(shortened(version)),
            _ if text.trim().is_empty() => Err("`version` prints nothing".to_owned()),
            _ => {
                let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
                Err(format!("it is another program, whose `version` prints `{}`", shortened(line)))
            }
        }
    }

    /// What it returns to a client that asks for `key`.
    pub(super) fn get(&self, key: &str) -> Result<HelperCredential, String> {
        let body = Zeroizing::new(self.run("get", key)?.stdout);
        serde_json::from_slice(&body).map_err(|_| "it does not return a login".to_owned())
    }

    fn run(&self, verb: &str, input: &str) -> Result<Response, String> {
        let end = Instant::now() + TIMEOUT;
        let fault = |error: io::Error| error.to_string();
        let mut child = Command::new(&self.0)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(fault)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper may end without reading its input, which fits into the pipe.
            let _ = stdin.write_all(input.as_bytes());
        }
        let (stdout, stderr) = (child.stdout.take().map(collect), child.stderr.take().map(collect));
        let response = finish(&mut child, [stdout, stderr], end);
        if response.is_err() {
            // It may have ended meanwhile.
            let _ = child.kill();
            let _ = child.wait();
        }
        let (status, [stdout, stderr]) = response?;
        if status.success() {
            return Ok(Response { stdout });
        }
        // On failure the protocol puts a message on standard output, and no secret.
        let said = [&stderr, &stdout].map(|text| String::from_utf8_lossy(text));
        let line = said.iter().flat_map(|text| text.lines()).find(|line| !line.trim().is_empty());
        Err(line.map_or_else(|| status.to_string(), shortened))
    }
}

/// What a helper that succeeded printed.
struct Response {
    stdout: Vec<u8>,
}

/// Reads on a thread of its own, because a pipe has no time limit.
fn collect(pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut content = Vec::new();
        // What was read until an error is enough to recognize another program.
        let _ = pipe.take(OUTPUT_LIMIT).read_to_end(&mut content);
        // Nobody receives what comes too late.
        let _ = sender.send(content);
    });
    receiver
}

/// Waits until the helper and all that have its pipes have ended, as docker does.
fn finish(
    child: &mut Child,
    pipes: [Option<Receiver<Vec<u8>>>; 2],
    end: Instant,
) -> Result<(ExitStatus, [Vec<u8>; 2]), String> {
    let late = || format!("it does not end within {} s", TIMEOUT.as_secs());
    let mut contents = [Vec::new(), Vec::new()];
    for (pipe, content) in pipes.into_iter().zip(&mut contents) {
        let left = end.saturating_duration_since(Instant::now());
        if let Some(pipe) = pipe {
            *content = pipe.recv_timeout(left).map_err(|_| late())?;
        }
        if content.len() as u64 == OUTPUT_LIMIT {
            return Err("it does not stop printing".to_owned());
        }
    }
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => return Ok((status, contents)),
            None if Instant::now() >= end => return Err(late()),
            None => pause(POLL),
        }
    }
}

fn shortened(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(MESSAGE_SHOWN).map(printable).collect()
}
