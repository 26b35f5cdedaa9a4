//! Runs what may never return, such as reading from a file system that hangs, on threads of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::SigSet;
use tokio::sync::oneshot;

/// How many threads may wait for the same thing. More would only wait as well, and none of them ever ends
/// where a file system hangs.
const MOST_FOR_ONE: usize = 4;

/// How many threads wait, by what they wait for.
static WAITING: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// A thread that counts, until it ends.
struct Waiting(String);

/// Runs `work`, which reads `what`, on a thread of its own. `None` if it takes longer than `timeout`, or if no
/// thread can be started.
pub async fn run<T: Send + 'static>(
    what: String,
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let waiting = Waiting::begin(what)?;
    let (done, result) = oneshot::channel();
    let work = move || {
        let _waiting = waiting;
        // Signals are for the thread that waits for them.
        let _ = SigSet::all().thread_block();
        // Nobody receives what comes after the timeout.
        let _ = done.send(work());
    };
    thread::Builder::new().name("files".to_owned()).spawn(work).ok()?;
    tokio::time::timeout(timeout, result).await.ok()?.ok()
}

impl Waiting {
    fn begin(what: String) -> Option<Self> {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(what.clone()).or_default();
        (*count < MOST_FOR_ONE).then(|| {
            *count += 1;
            Self(what)
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.0);
            }
        }
    }
}
