//! The last events, for `registry-agent events`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::printable::{into_printable, printable};
use crate::wire::api::EventDocument;

/// How many events are kept.
const CAPACITY: usize = 500;

/// The last events, and a feed of those to come. Clones share both.
#[derive(Clone, Default)]
pub struct Events {
    last: Arc<Mutex<VecDeque<EventDocument>>>,
    feed: watch::Sender<u64>,
}

impl Events {
    /// The events of the previous agent, oldest first, and those to come.
    pub fn restored(last: Vec<EventDocument>) -> Self {
        let mut last = VecDeque::from(last);
        last.drain(..last.len().saturating_sub(CAPACITY));
        Self { last: Arc::new(Mutex::new(last)), ..Self::default() }
    }

    /// Records that `event` happened to `subject`; `detail` is the whole sentence.
    pub fn record(&self, at: Timestamp, event: &str, subject: &str, detail: String) {
        let (subject, detail) = (printable(subject), into_printable(detail));
        tracing::info!(event, subject = &*subject, "{detail}");
        let mut last = self.lock();
        let event = EventDocument {
            seq: last_seq(&last) + 1,
            at,
            event: event.to_owned(),
            subject: subject.into_owned(),
            detail,
        };
        if last.len() == CAPACITY {
            last.pop_front();
        }
        self.feed.send_replace(event.seq);
        last.push_back(event);
    }

    /// The `seq` of the last event, for those who wait for more.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.feed.subscribe()
    }

    /// The events after the one with this `seq`, oldest first.
    pub fn since(&self, seq: u64) -> Vec<EventDocument> {
        let last = self.lock();
        let from = last.partition_point(|event| event.seq <= seq);
        last.range(from..).cloned().collect()
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
