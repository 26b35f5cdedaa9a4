//! What a run counts.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::schedule::Fault;

/// The counts; faults of the product have a description each.
#[derive(Default)]
pub(super) struct Tally {
    requests: AtomicUsize,
    numbers: AtomicUsize,
    without_token: AtomicUsize,
    while_stopped: AtomicUsize,
    faults: Mutex<BTreeMap<Fault, usize>>,
    active: Mutex<Vec<Fault>>,
    failures: Mutex<BTreeMap<Failure, Vec<String>>>,
    sizes: Mutex<Option<Sizes>>,
}

/// Descriptors, and private memory in KiB, of supervisor and agent.
type Sizes = ([usize; 2], [u64; 2]);

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// The agent had the credential and the helper did not answer it.
    Lost,
    /// The answer was not right at any moment of the question.
    Wrong,
    /// The token was dead when it was asked for.
    Dead,
    /// A change was not answered two minutes after it was made.
    Stale,
    /// More memory, descriptors or files than before.
    Growth,
}

pub(super) const FAILURES: [(Failure, &str); 5] = [
    (Failure::Lost, "credentials lost"),
    (Failure::Wrong, "wrong answers"),
    (Failure::Dead, "dead tokens"),
    (Failure::Stale, "changes that never arrived"),
    (Failure::Growth, "growth of memory, descriptors or files"),
];

impl Tally {
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that this run did not use before.
    pub(super) fn next(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// AWS could not be asked while the last token lived, or an agent without memory has just begun.
    pub(super) fn without_token(&self) {
        self.without_token.fetch_add(1, Ordering::Relaxed);
    }

    /// The agent was stopped for longer than a helper waits.
    pub(super) fn while_stopped(&self) {
        self.while_stopped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn begins(&self, fault: Fault) {
        *self.faults.lock().unwrap().entry(fault).or_default() += 1;
        self.active.lock().unwrap().push(fault);
    }

    pub(super) fn ends(&self, fault: Fault) {
        self.active.lock().unwrap().retain(|active| *active != fault);
    }

    /// The faults of this moment.
    pub(super) fn active(&self) -> Vec<Fault> {
        self.active.lock().unwrap().clone()
    }

    pub(super) fn lost(&self, text: String) {
        self.fail(Failure::Lost, text);
    }

    pub(super) fn wrong(&self, text: String) {
        self.fail(Failure::Wrong, text);
    }

    pub(super) fn dead(&self, text: String) {
        self.fail(Failure::Dead, text);
    }

    pub(super) fn stale(&self, text: String) {
        self.fail(Failure::Stale, text);
    }

    pub(super) fn growth(&self, text: String) {
        self.fail(Failure::Growth, text);
    }

    fn fail(&self, failure: Failure, text: String) {
        self.failures.lock().unwrap().entry(failure).or_default().push(text);
    }

    /// Remembers the largest sizes.
    pub(super) fn size(&self, descriptors: [usize; 2], memory: [u64; 2]) {
        let mut sizes = self.sizes.lock().unwrap();
        let (most, largest) = sizes.get_or_insert((descriptors, memory));
        for index in 0..2 {
            most[index] = most[index].max(descriptors[index]);
            largest[index] = largest[index].max(memory[index]);
        }
    }

    pub(super) fn sizes(&self) -> Option<Sizes> {
        *self.sizes.lock().unwrap()
    }

    /// One line about the run so far.
    pub(super) fn progress(&self, round: usize, rounds: usize) -> String {
        let failures = self.failures.lock().unwrap();
        let count: usize = failures.values().map(Vec::len).sum();
        let last = failures.values().filter_map(|all| all.last()).next_back();
        let last = last.map_or(String::new(), |text| format!(", such as {text}"));
        format!("round {round} of {rounds}: {} questions, {count} failures{last}", self.requests())
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Answers of nothing that are right: without a living token, and while the agent was stopped.
    pub(super) fn excused(&self) -> (usize, usize) {
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (load(&self.without_token), load(&self.while_stopped))
    }

    pub(super) fn faults(&self) -> BTreeMap<Fault, usize> {
        self.faults.lock().unwrap().clone()
    }

    pub(super) fn failures(&self, of: Failure) -> Vec<String> {
        self.failures.lock().unwrap().get(&of).cloned().unwrap_or_default()
    }
}
