//! Shows what a command waits for.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use super::human_time::duration;
use super::login_lines::login_line;
use super::output::print_note;
use super::selection::NoLogin;
use super::settling::Awaited;
use super::status_report::label;
use super::terminal;
use crate::domain::servers::userinfo::without_userinfo;
use crate::wire::api::{RegistryDocument, StatusDocument};

/// The countdown shows seconds.
const TICK: Duration = Duration::from_secs(1);

/// On a terminal, prints each state of a login once and, below it, a line that changes in place. The
/// states go to standard output, the line to standard error.
pub struct Progress {
    redraws: bool,
    prints_states: bool,
    has_line: bool,
    printed: Vec<(String, String)>,
    missing: Vec<String>,
}

impl Progress {
    /// Prints the states as they come if a person reads them.
    pub fn with_states() -> Self {
        Self { prints_states: stdout().is_terminal(), ..Self::line_only() }
    }

    /// Without the states, which the command prints itself.
    pub fn line_only() -> Self {
        Self {
            redraws: terminal::can_redraw(&stderr()),
            prints_states: false,
            has_line: false,
            printed: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// How long to wait for a change before the line is drawn again.
    pub fn patience(&self) -> Duration {
        if self.redraws { TICK } else { Duration::MAX }
    }

    /// Prints new states, and what is still awaited.
    pub fn show(&mut self, status: &StatusDocument, awaited: &Awaited<'_>) {
        let (pending, others): (Vec<_>, Vec<_>) =
            awaited.selected(status).partition(|registry| registry.state == "pending");
        if self.prints_states {
            for registry in others {
                // The next output that matters fails as well.
                let _ = self.print_state(registry);
            }
        }
        let missing = awaited.missing(status).into_iter().map(without_userinfo);
        let names = pending.into_iter().map(|login| Cow::from(label(login))).chain(missing);
        let names = names.collect::<Vec<_>>().join(", ");
        self.draw(&format!("waiting for {names}"), awaited.remaining());
    }

    /// Says once what is awaited although nothing declares it: it may be mistyped.
    pub fn name_missing(&mut self, status: &StatusDocument, awaited: &Awaited<'_>) {
        // A shorter wait says it in the end.
        if awaited.remaining() < TICK {
            return;
        }
        for asked in awaited.missing(status) {
            if !self.missing.iter().any(|known| known == asked) {
                self.end();
                let missing = NoLogin::of(status, asked).so_far();
                let limit = duration(whole_seconds(awaited.remaining()) + 1);
                print_note(&format!("{missing}; waiting up to {limit}"));
                self.missing.push(asked.to_owned());
            }
        }
    }

    /// Shows that no agent is there yet.
    pub fn show_absence(&mut self, remaining: Duration) {
        self.draw("waiting for an agent", remaining);
    }

    /// Prints the state of a login, unless it was printed already.
    pub fn print_state(&mut self, registry: &RegistryDocument) -> io::Result<()> {
        let state = (label(registry).to_owned(), registry.state.clone());
        if self.printed.contains(&state) {
            return Ok(());
        }
        self.end();
        self.printed.push(state);
        anstream::stdout().write_all(login_line(registry, terminal::width()).as_bytes())
    }

    /// Removes the line that changes.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.has_line) {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }

    fn draw(&mut self, what: &str, remaining: Duration) {
        if !self.redraws {
            return;
        }
        let line = format!("{what} ({} left)", duration(whole_seconds(remaining)));
        // A line that wraps cannot be replaced.
        let width = terminal::columns_of_stderr().saturating_sub(1);
        let line: String = if line.chars().count() > width {
            line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        } else {
            line
        };
        let _ = write!(stderr(), "\r{line}\x1b[K");
        let _ = stderr().flush();
        self.has_line = true;
    }
}

fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
