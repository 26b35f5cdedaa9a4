//! Writes log lines on a separate thread, so that a frozen disk or an unread pipe blocks nothing
//! else. The lines reach the thread through a bounded buffer.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;

use super::log_line::LineFormat;
use crate::adapters::config::Config;

/// The maximum size of the log, in bytes. A log that would exceed it is truncated first.
const LOG_LIMIT: u64 = 4 * 1024 * 1024;
/// The maximum size of the buffer, in bytes. Lines that do not fit are dropped.
const BUFFER_LIMIT: usize = 1024 * 1024;
/// How long shutdown waits for the remaining lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(100);

/// Logs to standard error as configured. `REGISTRY_AGENT_LOG` overrides the configured level.
/// `own_file` means that standard error is the agent's own log file, whose size is limited.
///
/// Starts a thread, so it is called after everything that needs a single-threaded process.
pub(super) fn init(config: &Config, own_file: bool) -> io::Result<Log> {
    let level = std::env::var("REGISTRY_AGENT_LOG").ok();
    let level = level.as_deref().unwrap_or(&config.log_level).parse().unwrap_or(LevelFilter::INFO);
    let format = LineFormat::new(config.log_format);
    let buffer = Arc::new(Buffer::new(format.clone()));
    spawn_writer(buffer.clone(), own_file)?;
    let (at_panic, panic_format) = (buffer.clone(), format.clone());
    panic::set_hook(Box::new(move |panic| {
        let line = panic_format.of_message(Level::ERROR, panic.to_string());
        at_panic.add(line.as_bytes(), usize::MAX);
        at_panic.flush();
    }));
    // Events of libraries are not logged: details of their connections may contain secrets.
    let ours = Targets::new().with_target("registry_agent", level);
    let log = Log(buffer.clone());
    let lines = Lines { format, buffer };
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
    Ok(log)
}

/// Waits on drop, for a limited time, until the remaining lines are written.
pub(super) struct Log(Arc<Buffer>);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// The lines that the thread has not taken yet.
struct Buffer {
    format: LineFormat,
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    dropped: u64,
    /// Whether the thread is writing the lines that it took.
    is_writing: bool,
}

impl Buffer {
    fn new(format: LineFormat) -> Self {
        Self { format, pending: Mutex::default(), changed: Condvar::new() }
    }

    fn add(&self, line: &[u8], limit: usize) {
        let mut pending = self.lock();
        if pending.lines.len().saturating_add(line.len()) > limit {
            pending.dropped += 1;
            return;
        }
        pending.lines.extend_from_slice(line);
        self.changed.notify_all();
    }

    /// Waits for lines and takes them, with a warning at the end if lines were dropped.
    fn take(&self) -> Vec<u8> {
        let mut pending = self.lock();
        pending.is_writing = false;
        self.changed.notify_all();
        let empty = |pending: &mut Pending| pending.lines.is_empty();
        let mut pending =
            self.changed.wait_while(pending, empty).unwrap_or_else(PoisonError::into_inner);
        pending.is_writing = true;
        let mut lines = mem::take(&mut pending.lines);
        let dropped = mem::take(&mut pending.dropped);
        if dropped > 0 {
            let note = format!("{dropped} lines were dropped: the log could not be written");
            lines.extend_from_slice(self.format.of_message(Level::WARN, note).as_bytes());
        }
        lines
    }

    fn flush(&self) {
        let busy = |pending: &mut Pending| pending.is_writing || !pending.lines.is_empty();
        drop(self.changed.wait_timeout_while(self.lock(), FLUSH_TIMEOUT, busy));
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds each event to the buffer.
struct Lines {
    format: LineFormat,
    buffer: Arc<Buffer>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.buffer.add(self.format.of_event(event).as_bytes(), BUFFER_LIMIT);
    }
}

fn spawn_writer(buffer: Arc<Buffer>, own_file: bool) -> io::Result<()> {
    // The new thread inherits the mask, so signals reach only the thread that waits for them.
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let spawned = thread::Builder::new().name("log".to_owned()).spawn(move || {
        loop {
            // An error is ignored: the log is the only place to report it.
            let _ = write(&buffer.take(), own_file);
        }
    });
    mask.thread_set_mask()?;
    spawned.map(drop)
}

fn write(lines: &[u8], own_file: bool) -> io::Result<()> {
    if own_file {
        // The file is open for appending, so the next write goes to its new end.
        let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let found = file.metadata()?;
        if found.is_file() && found.len() + lines.len() as u64 > LOG_LIMIT {
            file.set_len(0)?;
        }
    }
    io::stderr().write_all(lines)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::adapters::config::LogFormat;

    #[test]
    fn lines_beyond_the_limit_are_dropped_and_counted() {
        let buffer = Buffer::new(LineFormat::new(LogFormat::Text));
        for line in ["first\n", "second\n", "third\n"] {
            buffer.add(line.as_bytes(), 10);
        }
        let lines = String::from_utf8(buffer.take()).unwrap();
        let [first, note] = lines.lines().collect::<Vec<_>>()[..] else { panic!("{lines}") };
        assert_eq!(first, "first");
        assert!(note.ends_with(" WARN 2 lines were dropped: the log could not be written"));
    }

    #[test]
    fn a_panic_is_logged_by_its_message_and_place_alone() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::logging::tests::inner_a_thread_panics"])
            .args(["--ignored", "--nocapture"])
            .env("ACME_CONTAINER_REGISTRY_PASSWORD", "canary")
            .env("RUST_BACKTRACE", "full")
            .output()
            .unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        let [line] = lines[..] else { panic!("{log}") };
        assert!(line.contains(" ERROR panicked at src/cli/logging.rs:"), "{log}");
        assert!(line.ends_with(" something broke"), "{log}");
    }

    #[test]
    #[ignore = "replaces the panic hook, so it needs a process of its own"]
    fn inner_a_thread_panics() {
        let log = init(&Config::default(), false).unwrap();
        thread::spawn(|| panic!("something broke")).join().unwrap_err();
        drop(log);
    }
}
