//! Follows paths as they change: files, directories, and what does not exist yet.
//!
//! Any look at a path may wait for its file system, for ever where that has died, so each set of paths
//! is followed by a thread of its own.

use std::collections::BTreeSet;
use std::io;
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

/// A thread that follows a set of paths. It ends once this is dropped and the file system lets it.
pub struct Follower(mpsc::Sender<Wake>);

impl Follower {
    /// Starts a thread that runs `work` with a watch of `paths`, which are absolute.
    pub fn spawn(
        paths: BTreeSet<PathBuf>,
        work: impl FnOnce(PathWatch) + Send + 'static,
    ) -> io::Result<Self> {
        let (wake, wakes) = mpsc::channel();
        let watch = PathWatch::new(paths, wake.clone(), wakes);
        thread::Builder::new().name("follow-files".to_owned()).spawn(move || work(watch))?;
        Ok(Self(wake))
    }

    /// Follows `paths` instead of those before, and has the thread look at them.
    pub fn follow(&self, paths: BTreeSet<PathBuf>) {
        // A thread that has ended is told nothing any more.
        let _ = self.0.send(Wake::Follow(paths));
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.send(Wake::Stop);
    }
}

/// Tells a task when something happens to a set of paths.
///
/// Each path may be a file or a directory, whose every entry then counts, and may appear, be
/// replaced or vanish, as may each directory and each link on the way to it.
#[derive(Default)]
pub struct Watcher {
    paths: BTreeSet<PathBuf>,
    follower: Option<Follower>,
    changed: Arc<Notify>,
}

impl Watcher {
    /// Follows `paths`, which are absolute, instead of those before. That counts as a change.
    pub fn set_paths(&mut self, paths: BTreeSet<PathBuf>) {
        if paths == self.paths {
            return;
        }
        self.paths.clone_from(&paths);
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
        match Follower::spawn(paths, notify) {
            Ok(follower) => self.follower = Some(follower),
            Err(error) => warn!("files cannot be watched: {error}"),
        }
    }

    /// Waits for a change. One that is written is reported when the writer closes the file. Nothing is
    /// lost when the future is dropped.
    pub async fn changed(&mut self) {
        self.changed.notified().await;
    }
}
