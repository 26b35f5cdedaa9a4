//! `status --watch` on a terminal: redraws in place, every second because of the countdowns.

use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, raise};

use super::change_feed::{Change, ChangeFeed};
use super::output::NO_TIMEOUT;
use super::status_report::status_text;
use super::terminal::{self, Screen};
use crate::adapters::clock::{self, Clock};
use crate::adapters::paths::Paths;
use crate::wire::api::StatusDocument;

/// The countdowns show seconds.
const TICK: Duration = Duration::from_secs(1);
/// The pause before connecting to a restarted agent.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Shows the status until a signal ends it, or until no agent is left.
pub fn watch(paths: &Paths) -> anyhow::Result<ExitCode> {
    let feed = ChangeFeed::default();
    // First, because threads inherit which signals are blocked.
    feed.add_signals(&signals())?;
    let mut status = feed.follow_status(paths, NO_TIMEOUT)?;
    let mut screen = Screen::enter()?;
    loop {
        draw(&screen, &status)?;
        match feed.next_within(TICK) {
            None | Some(Change::Signal(Signal::SIGWINCH)) => {}
            Some(Change::Status(next)) => status = *next,
            Some(Change::Ended) => {
                clock::pause(RECONNECT_PAUSE);
                status = feed.follow_status(paths, NO_TIMEOUT)?;
            }
            Some(Change::Signal(Signal::SIGTSTP)) => {
                drop(screen);
                raise(Signal::SIGSTOP)?;
                screen = Screen::enter()?;
            }
            Some(Change::Signal(signal)) => {
                drop(screen);
                // End as if the signal had not been caught, which is what shells look for.
                SigSet::from(signal).thread_unblock()?;
                raise(signal)?;
                return Ok(ExitCode::FAILURE);
            }
        }
    }
}

fn draw(screen: &Screen, status: &StatusDocument) -> std::io::Result<()> {
    let width = terminal::width();
    screen.draw(&status_text(status, Clock::system().now(), width))
}

fn signals() -> SigSet {
    let signals =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGWINCH, Signal::SIGTSTP];
    signals.into_iter().collect()
}
