//! How an event becomes one line of the log: text or JSON, with a priority for systemd's journal.

use std::env;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::adapters::clock::Clock;
use crate::adapters::config::LogFormat;
use crate::domain::printable::is_printable;

/// The form of each line.
#[derive(Clone)]
pub(super) struct LineFormat {
    format: LogFormat,
    /// Whether the journal reads the lines: it takes their priority from a prefix, and adds the time.
    is_journal: bool,
    clock: Clock,
}

impl LineFormat {
    /// The form of lines on standard error.
    pub(super) fn new(format: LogFormat) -> Self {
        let stream = env::var("JOURNAL_STREAM").ok();
        let is_journal = stream.is_some_and(|stream| is_standard_error(&stream));
        Self { format, is_journal, clock: Clock::system() }
    }

    /// The line for an event of the program.
    pub(super) fn of_event(&self, event: &Event<'_>) -> String {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.line(*event.metadata().level(), fields.message, fields.others)
    }

    /// The line for a message.
    pub(super) fn of_message(&self, level: Level, message: String) -> String {
        self.line(level, message, Map::new())
    }

    fn line(&self, level: Level, message: String, fields: Map<String, Value>) -> String {
        let now = self.clock.now();
        let line = match self.format {
            LogFormat::Json => json(now, level, message, fields),
            LogFormat::Text if self.is_journal => one_line(&message),
            LogFormat::Text => format!("{now:.3} {level} {}", one_line(&message)),
        };
        let priority = if self.is_journal { priority(level) } else { "" };
        format!("{priority}{line}\n")
    }
}

/// `{"at", "level", "message"}` and the fields of the event.
fn json(at: Timestamp, level: Level, message: String, fields: Map<String, Value>) -> String {
    let mut line = Map::new();
    line.insert("at".to_owned(), format!("{at:.3}").into());
    line.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
    line.insert("message".to_owned(), message.into());
    line.extend(fields);
    Value::Object(line).to_string()
}

/// An event is one line, whatever its message contains.
fn one_line(message: &str) -> String {
    message.replace(|c| !is_printable(c), " ")
}

/// The prefixes that the journal understands (sd-daemon(3)).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// Whether `stream`, a device and an inode, is standard error (`JOURNAL_STREAM` in systemd.exec(5)).
fn is_standard_error(stream: &str) -> bool {
    let found = || File::from(io::stderr().as_fd().try_clone_to_owned().ok()?).metadata().ok();
    found().is_some_and(|found| stream == format!("{}:{}", found.dev(), found.ino()))
}

/// What an event consists of.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => {
                self.others.insert(name.to_owned(), value.into());
            }
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }
}
