//! The last events, for `registry-agent events`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::wire::api::EventDocument;

/// How many events are kept.
const CAPACITY: usize = 500;

/// The last events, and a feed of those to come. Clones share both.
#[derive(Clone)]
pub struct Events {
    last: Arc<Mutex<VecDeque<EventDocument>>>,
    feed: broadcast::Sender<EventDocument>,
}

impl Default for Events {
    fn default() -> Self {
        Self { last: Arc::default(), feed: broadcast::Sender::new(64) }
    }
}

impl Events {
    /// Records that `event` happened to `subject`; `detail` is the whole sentence.
    pub fn record(&self, at: Timestamp, event: &str, subject: &str, detail: String) {
        tracing::info!("{detail}");
        let mut last = self.lock();
        let event = EventDocument {
            seq: last_seq(&last) + 1,
            at,
            event: event.to_owned(),
            subject: subject.to_owned(),
            detail,
        };
        if last.len() == CAPACITY {
            last.pop_front();
        }
        last.push_back(event.clone());
        // Nobody listens most of the time. The lock is held, so that nobody can subscribe in between.
        let _ = self.feed.send(event);
    }

    /// The events so far, oldest first, and a feed that goes on exactly after them.
    pub fn subscribe(&self) -> (Vec<EventDocument>, broadcast::Receiver<EventDocument>) {
        let last = self.lock();
        (last.iter().cloned().collect(), self.feed.subscribe())
    }

    /// The `seq` of the last event.
    pub fn last_seq(&self) -> u64 {
        last_seq(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<EventDocument>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn last_seq(last: &VecDeque<EventDocument>) -> u64 {
    last.back().map_or(0, |event| event.seq)
}
