//! Where log lines go.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// A log that grew beyond this is begun anew.
const LONGEST_LOG: u64 = 4 * 1024 * 1024;

/// Logs to standard error, at `level` unless `REGISTRY_AGENT_LOG` says another one. `own_file` tells
/// that standard error is a file that belongs to the agent, and must not grow without end.
pub(super) fn init(level: &str, own_file: bool) {
    let asked = std::env::var("REGISTRY_AGENT_LOG").ok();
    let level = asked.as_deref().unwrap_or(level).parse().unwrap_or(LevelFilter::INFO);
    // What the libraries have to say about their connections may hold what nobody should read.
    let ours = Targets::new().with_target("registry_agent", level);
    let writer = move || BoundedLog { own_file };
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}

/// Standard error, cut when it is too long a file.
struct BoundedLog {
    own_file: bool,
}

impl Write for BoundedLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.own_file {
            // Opened for appending, so that what follows is written at the new end.
            let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
            let found = file.metadata()?;
            if found.is_file() && found.len() > LONGEST_LOG {
                file.set_len(0)?;
            }
        }
        io::stderr().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
