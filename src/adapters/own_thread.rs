//! Runs what may block for good, such as reading from a file system that hangs, without blocking others.

use std::thread;
use std::time::Duration;

use nix::sys::signal::SigSet;
use tokio::sync::oneshot;

/// Runs `work` on a thread of its own. `None` if it takes longer than `timeout`, or if no thread can be
/// started.
pub async fn run<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = oneshot::channel();
    let work = move || {
        // Signals are for the thread that waits for them.
        let _ = SigSet::all().thread_block();
        // Nobody receives what comes after the timeout.
        let _ = done.send(work());
    };
    thread::Builder::new().name("files".to_owned()).spawn(work).ok()?;
    tokio::time::timeout(timeout, result).await.ok()?.ok()
}
