//! The terminal: its size, and drawing in place.

use std::io::{self, IsTerminal, Write, stdout};

use anstream::AutoStream;
use terminal_size::{Height, Width, terminal_size_of};

/// Columns and rows of the terminal that standard output is; `None` if it is none.
pub fn size() -> Option<(usize, usize)> {
    let (Width(columns), Height(rows)) = terminal_size_of(stdout())?;
    (columns > 0 && rows > 0).then_some((columns.into(), rows.into()))
}

/// The columns of the terminal that standard output is.
pub fn width() -> Option<usize> {
    size().map(|(columns, _)| columns)
}

/// The columns of the terminal that standard error is.
pub fn width_of_stderr() -> Option<usize> {
    let (Width(columns), _) = terminal_size_of(io::stderr())?;
    (columns > 0).then_some(columns.into())
}

/// Whether lines that were written to `stream` can be replaced.
pub fn can_redraw(stream: &impl IsTerminal) -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    stream.is_terminal() && !dumb
}

/// A screen of its own, which disappears with this value.
pub struct Screen(());

impl Screen {
    /// Switches to the alternate screen, without a cursor and without line wrap.
    pub fn enter() -> io::Result<Self> {
        control("\x1b[?1049h\x1b[?25l\x1b[?7l")?;
        Ok(Self(()))
    }

    /// Replaces what is shown. Lines that do not fit are left out, and the last one says so.
    pub fn draw(&self, text: &str) -> io::Result<()> {
        let rows = size().map_or(usize::MAX, |(_, rows)| rows);
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let hidden = lines.len().saturating_sub(rows);
        let shown = if hidden == 0 { lines.len() } else { rows.saturating_sub(1) };
        let more = format!("… {} more lines; see `registry-agent status`", lines.len() - shown);
        let lines_shown = lines.len();
        let lines = lines[..shown].iter().copied().chain((hidden > 0).then_some(more.as_str()));
        let colored = lines.collect::<Vec<_>>().join("\n");
        let mut plain = AutoStream::new(Vec::new(), AutoStream::choice(&stdout()));
        plain.write_all(colored.as_bytes())?;
        // A line is erased first: after a full one, the cursor is still on its last character.
        let text = String::from_utf8_lossy(&plain.into_inner()).replace('\n', "\r\n\x1b[2K");
        let below = if hidden == 0 && lines_shown < rows { "\r\n\x1b[J" } else { "" };
        control(&format!("\x1b[H\x1b[2K{text}{below}"))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = control("\x1b[?7h\x1b[?25h\x1b[?1049l");
    }
}

fn control(sequence: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(sequence.as_bytes())?;
    out.flush()
}
