//! The line that an init system shows for the service: how many logins are ready, and what is wrong.

use std::fmt::Write;

use jiff::Timestamp;

use super::view::View;
use crate::domain::credentials::login::State;
use crate::domain::reasons::Severity;

/// The line for `view`. It names no login, because anyone may read it.
pub(super) fn line(view: &View, now: Timestamp) -> String {
    if !view.complete {
        return "reading the variables".to_owned();
    }
    let states: Vec<State> = view.entries.values().map(|entry| entry.login.state(now)).collect();
    let problems = view.source_problems.iter().chain(&view.other_problems);
    let problems = problems.filter(|it| it.reason.severity() == Severity::Error).count();
    text(&states, problems)
}

fn text(states: &[State], problems: usize) -> String {
    let count = |state| states.iter().filter(|&&it| it == state).count();
    let mut text = match states.len() {
        0 => "no login is declared".to_owned(),
        1 => format!("{} of 1 login ready", count(State::Ready)),
        all => format!("{} of {all} logins ready", count(State::Ready)),
    };
    for state in State::ALL.into_iter().filter(|&state| state != State::Ready) {
        match count(state) {
            0 => {}
            count => write!(text, ", {count} {}", state.as_str()).unwrap_or_default(),
        }
    }
    match problems {
        0 => {}
        1 => text.push_str("; 1 problem"),
        count => write!(text, "; {count} problems").unwrap_or_default(),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_counts_logins_by_state_and_problems() {
        use State::{Ready, Rejected, Unreachable};
        for (states, problems, expected) in [
            (&[][..], 0, "no login is declared"),
            (&[], 2, "no login is declared; 2 problems"),
            (&[Ready], 0, "1 of 1 login ready"),
            (&[Ready, Ready], 0, "2 of 2 logins ready"),
            (
                &[Rejected, Ready, Unreachable, Rejected],
                1,
                "1 of 4 logins ready, 1 unreachable, 2 rejected; 1 problem",
            ),
        ] {
            assert_eq!(text(states, problems), expected);
        }
    }
}
