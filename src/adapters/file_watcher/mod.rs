//! Watches paths for changes: files, directories, and paths that do not exist yet.
//!
//! Any access to a path may block on its file system, forever if that is dead. Therefore each set
//! of paths has a thread of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::Notify;
use tracing::warn;

mod path_watch;
mod polled_file_systems;
mod resolved_path;

use path_watch::Wake;
pub use path_watch::{POLL_INTERVAL, PathWatch, QUIET_PERIOD};

/// A thread that watches a set of paths. It ends after this is dropped, once the file system
/// responds.
pub struct Follower(mpsc::Sender<Wake>);

impl Follower {
    /// Starts a thread that runs `work` with a watch on `paths`, which are absolute.
    pub fn spawn(paths: BTreeSet<PathBuf>, work: impl FnOnce(PathWatch) + Send + 'static) -> Self {
        let (wake, wakes) = mpsc::channel();
        let watch = PathWatch::new(paths, wake.clone(), wakes);
        let thread = thread::Builder::new().name("follow-files".to_owned());
        if let Err(error) = thread.spawn(move || work(watch)) {
            warn!("files cannot be watched: {error}");
        }
        Self(wake)
    }

    /// Replaces the watched paths. If they differ, the thread reads them.
    pub fn follow(&self, paths: BTreeSet<PathBuf>) {
        // The thread may have ended already.
        let _ = self.0.send(Wake::Follow(paths));
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.send(Wake::Stop);
    }
}

/// Notifies a task of changes to a set of paths.
///
/// Each path may be a file, or a directory with all its entries. It may appear, be replaced or
/// vanish, and so may each directory and link on the way to it.
#[derive(Default)]
pub struct Watcher {
    follower: Option<Follower>,
    changed: Arc<Notify>,
}

impl Watcher {
    /// Replaces the watched paths with `paths`, which are absolute. A difference counts as a change.
    pub fn set_paths(&mut self, paths: BTreeSet<PathBuf>) {
        if let Some(follower) = &self.follower {
            return follower.follow(paths);
        }
        let changed = Arc::clone(&self.changed);
        let notify = move |mut watch: PathWatch| {
            loop {
                watch.update();
                changed.notify_one();
                if !watch.wait(None) {
                    break;
                }
            }
        };
        self.follower = Some(Follower::spawn(paths, notify));
    }

    /// Waits for a change. A write is reported when the writer closes the file. The method is
    /// cancel safe.
    pub async fn changed(&mut self) {
        self.changed.notified().await;
    }
}
