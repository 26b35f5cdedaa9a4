//! Where log lines go.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Logs to standard error, at `level` unless `REGISTRY_AGENT_LOG` says another one.
pub(super) fn init(level: &str) {
    let asked = std::env::var("REGISTRY_AGENT_LOG").ok();
    let level = asked.as_deref().unwrap_or(level).parse().unwrap_or(LevelFilter::INFO);
    // What the libraries have to say about their connections may hold what nobody should read.
    let ours = Targets::new().with_target("registry_agent", level);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}
