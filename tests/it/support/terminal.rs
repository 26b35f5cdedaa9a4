//! A real terminal: a shell in tmux.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use registry_agent::adapters::clock::pause;

use super::test_home::{TestHome, succeed};

/// How often to look at the screen: every 50 ms, for 30 s on a busy machine.
const LOOKS: usize = 600;

static TERMINALS: AtomicUsize = AtomicUsize::new(0);

/// A shell on a terminal of a size.
pub(crate) struct Terminal<'a>(&'a TestHome, PathBuf);

impl<'a> Terminal<'a> {
    /// Opens the terminal, with these variables besides those of the home.
    pub(crate) fn open(
        home: &'a TestHome,
        (columns, rows): (u16, u16),
        variables: &[(&str, &str)],
    ) -> Self {
        // The server of a terminal that was just closed may still be ending.
        let number = TERMINALS.fetch_add(1, Ordering::Relaxed);
        let terminal = Self(home, home.path(&format!("tmux{number}.sock")));
        let mut tmux = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x"]);
        tmux.args([&columns.to_string(), "-y", &rows.to_string()]);
        for (name, value) in variables {
            tmux.arg("-e").arg(format!("{name}={value}"));
        }
        succeed(tmux.args(["env", "PS1=> ", "sh"]));
        succeed(&mut terminal.tmux(&["set", "-g", "status", "off"]));
        // The status line of tmux took a row.
        terminal.resize((columns, rows));
        terminal
    }

    /// Types a line and Enter.
    pub(crate) fn enter(&self, line: &str) {
        succeed(&mut self.tmux(&["send-keys", "-l", line]));
        self.press("Enter");
    }

    /// Presses a key, such as `C-c`.
    pub(crate) fn press(&self, key: &str) {
        succeed(&mut self.tmux(&["send-keys", key]));
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize(&self, (columns, rows): (u16, u16)) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        succeed(&mut self.tmux(&["resize-window", "-x", &columns, "-y", &rows]));
    }

    /// The lines on the screen, as they are broken there.
    pub(crate) fn screen(&self) -> String {
        let output = succeed(&mut self.tmux(&["capture-pane", "-p"])).stdout;
        String::from_utf8(output).unwrap().trim_end().to_owned()
    }

    /// The same with escape sequences of colours.
    pub(crate) fn colored_screen(&self) -> String {
        let output = succeed(&mut self.tmux(&["capture-pane", "-p", "-e"])).stdout;
        String::from_utf8(output).unwrap()
    }

    /// A variable of tmux, such as `alternate_on`.
    pub(crate) fn variable(&self, name: &str) -> String {
        let format = format!("#{{{name}}}");
        let output = succeed(&mut self.tmux(&["display-message", "-p", &format])).stdout;
        String::from_utf8(output).unwrap().trim().to_owned()
    }

    /// The screen, once it is as expected.
    pub(crate) fn wait_for(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        for _ in 0..LOOKS {
            let screen = self.screen();
            if is_there(&screen) {
                return screen;
            }
            pause(Duration::from_millis(50));
        }
        panic!("{what} does not appear:\n{}", self.screen());
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut tmux = self.0.command("tmux");
        tmux.arg("-S").arg(&self.1).args(arguments);
        tmux
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).output();
    }
}
