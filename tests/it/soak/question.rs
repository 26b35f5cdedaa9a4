//! Questions to the helper, each answer held against the truth.

use std::sync::Mutex;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::truth::{Login, Truth};
use super::world::{Account, Right, World, pause};
use crate::support::test_home::{credential, output_text, run_with_input};

const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");

/// The agent serves no token in the last tenth of its life. Half of that is left for inexact clocks.
const MARGIN: SignedDuration = SignedDuration::from_secs(2);
const HALF_MARGIN: SignedDuration = SignedDuration::from_secs(1);

/// Enough on a machine with other work.
const LONGEST_CHANGE_SECONDS: u64 = 120;

/// An answer of the helper.
struct Answer {
    login: Login,
    text: String,
    asked: Instant,
    asked_at: Timestamp,
    answered: Instant,
    answered_at: Timestamp,
}

/// The tokens that were answered: when, and when they end.
pub(super) type Served = Mutex<Vec<(Instant, Timestamp)>>;

impl World {
    /// Asks the helper in the environment of the shell.
    pub(super) fn ask(&self, account: &Account) -> Login {
        let (asked, asked_at) = (Instant::now(), self.aws.now());
        let mut helper = self.home.command(HELPER);
        helper.arg("get").envs(self.environment_of_helpers());
        let output = run_with_input(&mut helper, &account.server);
        let answer = Answer {
            login: credential(&output),
            text: output_text(&output),
            asked,
            asked_at,
            answered: Instant::now(),
            answered_at: self.aws.now(),
        };
        self.tally.request();
        match &account.truth {
            Right::Password(truth) => self.judge_password(account, truth, &answer),
            Right::Token(served) => self.judge_token(account, served, &answer),
        }
        answer.login
    }

    fn judge_password(&self, account: &Account, truth: &Truth, answer: &Answer) {
        let is_right = truth.allows(&answer.login, answer.asked, answer.answered);
        match answer.login {
            _ if is_right => {}
            Some(_) => self.tally.wrong(self.describe(account, answer)),
            None => self.unanswered(account, answer),
        }
    }

    fn judge_token(&self, account: &Account, served: &Served, answer: &Answer) {
        let mut served = served.lock().unwrap();
        let Some((user, token)) = &answer.login else {
            // The agent had this one before it was asked.
            let last = served.iter().rfind(|(seen, _)| *seen <= answer.asked);
            if last.is_some_and(|(_, end)| *end > answer.answered_at + MARGIN) {
                self.unanswered(account, answer);
            } else {
                self.tally.without_token();
            }
            served.retain(|(_, end)| *end > answer.asked_at);
            return;
        };
        match self.aws.token_end(token) {
            Some(end) if user == "AWS" => {
                if end <= answer.asked_at + HALF_MARGIN {
                    self.tally.dead(self.describe(account, answer));
                }
                served.push((answer.answered, end));
            }
            _ => self.tally.wrong(self.describe(account, answer)),
        }
    }

    fn unanswered(&self, account: &Account, answer: &Answer) {
        let could_not = self.stopped.lock().unwrap().iter().any(|(from, until)| {
            *from <= answer.answered && until.is_none_or(|until| until >= answer.asked)
        });
        if could_not {
            self.tally.while_stopped();
        } else {
            self.tally.lost(self.describe(account, answer));
        }
    }

    /// Asks until the newest login is answered, and from then on allows no other.
    pub(super) fn arrived(&self, account: &Account) {
        let newest = account.password().newest();
        let begin = Instant::now();
        while self.ask(account) != newest {
            if begin.elapsed().as_secs() > LONGEST_CHANGE_SECONDS {
                self.tally.stale(format!("{}: {newest:?} never arrived", account.name));
                break;
            }
            pause(50);
        }
        account.password().confirm();
    }

    fn describe(&self, account: &Account, answer: &Answer) -> String {
        let took = answer.answered.duration_since(answer.asked).as_millis();
        let what = match &answer.login {
            Some((user, secret)) => format!("{user} {secret}"),
            None => format!("nothing ({})", answer.text.trim()),
        };
        let (at, name, faults) = (answer.asked_at, account.name, self.tally.active());
        format!("{at} {name}: {what} after {took} ms, during {faults:?}")
    }
}
