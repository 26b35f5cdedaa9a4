//! Runs a program that is not ours, and does not let it run or print without end.

use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::clock::pause;

/// The most that is read of each output, in bytes.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// How often to ask whether a program that has closed its outputs has ended.
const POLL: Duration = Duration::from_millis(5);

/// Why a program gave no output.
#[derive(Debug, thiserror::Error)]
pub enum CommandFault {
    /// It cannot be run.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It, or a process that has its outputs, did not end in time.
    #[error("it does not end within {} s", .0.as_secs())]
    Late(Duration),
    /// It printed more than anybody wants to know.
    #[error("it does not stop printing")]
    Endless,
}

/// Runs the command with `input`, which fits into a pipe, on its standard input. Kills it if it takes longer
/// than `timeout` or prints more than 1 MiB.
pub fn output(
    command: &mut Command,
    input: &[u8],
    timeout: Duration,
) -> Result<Output, CommandFault> {
    let end = Instant::now() + timeout;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program may end without reading its input.
        let _ = stdin.write_all(input);
    }
    let pipes = [child.stdout.take().map(collect), child.stderr.take().map(collect)];
    let finished = finish(&mut child, pipes, end, timeout);
    if finished.is_err() {
        // It may have ended meanwhile.
        let _ = child.kill();
        let _ = child.wait();
    }
    let (status, [stdout, stderr]) = finished?;
    Ok(Output { status, stdout, stderr })
}

/// Reads on a thread of its own, because a pipe has no time limit.
fn collect(pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut content = Vec::new();
        // What was read until an error is enough to recognize a program.
        let _ = pipe.take(OUTPUT_LIMIT).read_to_end(&mut content);
        // Nobody receives what comes too late.
        let _ = sender.send(content);
    });
    receiver
}

/// Waits until the program and all processes that have its outputs have ended.
fn finish(
    child: &mut Child,
    pipes: [Option<Receiver<Vec<u8>>>; 2],
    end: Instant,
    timeout: Duration,
) -> Result<(ExitStatus, [Vec<u8>; 2]), CommandFault> {
    let mut contents = [Vec::new(), Vec::new()];
    for (pipe, content) in pipes.into_iter().zip(&mut contents) {
        let left = end.saturating_duration_since(Instant::now());
        if let Some(pipe) = pipe {
            *content = pipe.recv_timeout(left).map_err(|_| CommandFault::Late(timeout))?;
        }
        if content.len() as u64 == OUTPUT_LIMIT {
            return Err(CommandFault::Endless);
        }
    }
    loop {
        match child.try_wait()? {
            Some(status) => return Ok((status, contents)),
            None if Instant::now() >= end => return Err(CommandFault::Late(timeout)),
            None => pause(POLL),
        }
    }
}
