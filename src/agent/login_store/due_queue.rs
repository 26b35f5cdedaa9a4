//! The logins that changed, and the time at which each is due. An event looks at these logins
//! instead of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

/// The logins that need attention, by canonical server.
#[derive(Default)]
pub(super) struct DueQueue {
    changed: BTreeSet<Arc<str>>,
    by_time: BTreeSet<(Timestamp, Arc<str>)>,
    times: BTreeMap<Arc<str>, Timestamp>,
}

impl DueQueue {
    /// Records that a login changed.
    pub(super) fn mark_changed(&mut self, server: &Arc<str>) {
        self.changed.insert(server.clone());
    }

    /// Records that the logins which are due at `now` changed.
    pub(super) fn mark_due_as_changed(&mut self, now: Timestamp) {
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

    fn changed(queue: &mut DueQueue) -> Vec<String> {
        queue.take_changed().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_login_is_due_once_and_at_the_last_time_set_for_it() {
        let mut queue = DueQueue::default();
        let (one, other) = (Arc::from("one"), Arc::from("other"));
        queue.schedule(&one, Some(at(1)));
        queue.schedule(&other, Some(at(2)));
        queue.schedule(&one, Some(at(3)));
        assert_eq!(queue.next(), Some(at(2)));
        queue.mark_due_as_changed(at(2));
        assert_eq!(changed(&mut queue), ["other"]);
        queue.mark_due_as_changed(at(2));
        assert!(changed(&mut queue).is_empty());
        queue.mark_due_as_changed(at(5));
        assert_eq!(changed(&mut queue), ["one"]);
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn a_login_without_a_time_is_never_due() {
        let mut queue = DueQueue::default();
        let one = Arc::from("one");
        queue.schedule(&one, Some(at(1)));
        queue.schedule(&one, None);
        queue.mark_due_as_changed(at(9));
        assert!(changed(&mut queue).is_empty());
    }
}
