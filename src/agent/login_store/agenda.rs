//! Which logins changed and when each is due, so that an event costs what it changes and not a look
//! at every login.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

/// The logins that need attention, by canonical server.
#[derive(Default)]
pub(super) struct Agenda {
    changed: BTreeSet<Arc<str>>,
    by_time: BTreeSet<(Timestamp, Arc<str>)>,
    times: BTreeMap<Arc<str>, Timestamp>,
}

impl Agenda {
    /// Records that a login changed.
    pub(super) fn note_change(&mut self, server: &Arc<str>) {
        self.changed.insert(server.clone());
    }

    /// Counts the logins that are due at `now` as changed.
    pub(super) fn note_due(&mut self, now: Timestamp) {
        while self.next().is_some_and(|at| at <= now)
            && let Some((_, server)) = self.by_time.pop_first()
        {
            self.times.remove(&server);
            self.changed.insert(server);
        }
    }

    /// The logins that changed since they were taken.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Arc<str>> {
        self.changed.iter()
    }

    /// Takes the logins that changed.
    pub(super) fn take_changed(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.changed)
    }

    /// Replaces the time at which a login is due.
    pub(super) fn schedule(&mut self, server: &Arc<str>, at: Option<Timestamp>) {
        if let Some((server, before)) = self.times.remove_entry(server) {
            self.by_time.remove(&(before, server));
        }
        if let Some(at) = at {
            self.by_time.insert((at, server.clone()));
            self.times.insert(server.clone(), at);
        }
    }

    /// When the next login is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn changed(agenda: &mut Agenda) -> Vec<String> {
        agenda.take_changed().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_login_is_due_once_and_at_the_last_time_set_for_it() {
        let mut agenda = Agenda::default();
        let (one, other) = (Arc::from("one"), Arc::from("other"));
        agenda.schedule(&one, Some(at(1)));
        agenda.schedule(&other, Some(at(2)));
        agenda.schedule(&one, Some(at(3)));
        assert_eq!(agenda.next(), Some(at(2)));
        agenda.note_due(at(2));
        assert_eq!(changed(&mut agenda), ["other"]);
        agenda.note_due(at(2));
        assert!(changed(&mut agenda).is_empty());
        agenda.note_due(at(5));
        assert_eq!(changed(&mut agenda), ["one"]);
        assert_eq!(agenda.next(), None);
    }

    #[test]
    fn a_login_without_a_time_is_never_due() {
        let mut agenda = Agenda::default();
        let one = Arc::from("one");
        agenda.schedule(&one, Some(at(1)));
        agenda.schedule(&one, None);
        agenda.note_due(at(9));
        assert!(changed(&mut agenda).is_empty());
    }
}
