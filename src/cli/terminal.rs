//! The terminal: its size, and drawing in place.

use std::env;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;

use anstream::AutoStream;
use terminal_size::{Height, Width, terminal_size_of};

/// Columns and rows of a terminal that does not know its own, such as a serial line.
const DEFAULT_SIZE: (usize, usize) = (80, 24);

/// How wide lines on standard output may be; `None` if it is not a terminal.
pub fn width() -> Option<usize> {
    width_of(&stdout())
}

/// How wide lines on standard error may be; `None` if it is not a terminal.
pub fn width_of_stderr() -> Option<usize> {
    width_of(&stderr())
}

/// The widest line on standard error that the terminal does not wrap.
pub fn columns_of_stderr() -> usize {
    size_of(&stderr()).unwrap_or(DEFAULT_SIZE).0
}

/// The columns that the user wants (`COLUMNS`), or else those of the terminal.
fn width_of(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    let (columns, _) = size_of(stream)?;
    let wanted = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Some(wanted.filter(|columns| *columns > 0).unwrap_or(columns))
}

/// Columns and rows of a terminal; `None` if `stream` is none.
fn size_of(stream: &(impl AsFd + IsTerminal)) -> Option<(usize, usize)> {
    let reported = |(Width(columns), Height(rows))| (usize::from(columns), usize::from(rows));
    let size = terminal_size_of(stream.as_fd()).map(reported).filter(|(c, r)| *c > 0 && *r > 0);
    stream.is_terminal().then(|| size.unwrap_or(DEFAULT_SIZE))
}

/// Whether lines that were written to `stream` can be replaced.
pub fn can_redraw(stream: &impl IsTerminal) -> bool {
    let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
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
        let rows = size_of(&stdout()).map_or(usize::MAX, |(_, rows)| rows);
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
