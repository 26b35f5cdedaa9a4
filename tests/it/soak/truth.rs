//! Which credentials of a server are right at a moment, as far as anyone outside the agent can know.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A user and a secret; `None` if nothing is declared.
pub(super) type Login = Option<(String, String)>;

/// The history of one server's login. While a change is under way, the old and the new one are right.
pub(super) struct Truth(Mutex<Vec<Entry>>);

struct Entry {
    login: Login,
    from: Instant,
    /// When it stopped being right.
    until: Option<Instant>,
}

/// No question takes this long.
const LONGEST_QUESTION: Duration = Duration::from_mins(2);

impl Truth {
    pub(super) fn new(login: Login) -> Self {
        Self(Mutex::new(vec![Entry { login, from: Instant::now(), until: None }]))
    }

    /// From now on, this may be answered too.
    pub(super) fn begin(&self, login: Login) {
        let mut entries = self.0.lock().unwrap();
        entries.retain(|entry| entry.until.is_none_or(|until| until.elapsed() < LONGEST_QUESTION));
        entries.push(Entry { login, from: Instant::now(), until: None });
    }

    /// From now on, only the newest may be answered.
    pub(super) fn confirm(&self) {
        let mut entries = self.0.lock().unwrap();
        let newest = entries.len() - 1;
        for entry in &mut entries[..newest] {
            entry.until.get_or_insert_with(Instant::now);
        }
    }

    /// The newest login, whether it is confirmed or not.
    pub(super) fn newest(&self) -> Login {
        self.0.lock().unwrap().last().unwrap().login.clone()
    }

    /// Whether this is right as the answer to a question that was asked and answered at these times.
    pub(super) fn allows(&self, answer: &Login, asked: Instant, answered: Instant) -> bool {
        self.0.lock().unwrap().iter().any(|entry| {
            let overlaps = entry.from <= answered && entry.until.is_none_or(|until| until >= asked);
            overlaps && entry.login == *answer
        })
    }
}

#[test]
fn during_a_change_both_are_right_and_after_it_the_new_one() {
    let (old, new) = (Some(("user".to_owned(), "old".to_owned())), None);
    let truth = Truth::new(old.clone());
    let before = Instant::now();
    assert!(truth.allows(&old, before, Instant::now()));
    assert!(!truth.allows(&new, before, Instant::now()));
    truth.begin(new.clone());
    let during = Instant::now();
    assert!(truth.allows(&old, during, during) && truth.allows(&new, during, during));
    truth.confirm();
    let after = Instant::now() + Duration::from_nanos(1);
    assert!(!truth.allows(&old, after, after) && truth.allows(&new, after, after));
    assert!(truth.allows(&old, during, after), "it was asked before the end of the change");
}
