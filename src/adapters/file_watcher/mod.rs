//! Following paths as they change: files, directories, and what is not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{INotifyWatcher, RecursiveMode, Watcher as _};
use tokio::time::{Instant, sleep_until};

mod poll_snapshot;
mod resolved_path;
mod watch_state;

use poll_snapshot::{PollSnapshot, poll_snapshot};
use resolved_path::ResolvedPath;
use watch_state::WatchState;

/// The time between two snapshots of a path whose changes the kernel does not report.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How soon a path that was seen to change is looked at again, to see whether it has come to rest.
pub const QUIET_PERIOD: Duration = Duration::from_secs(1);
/// Changes this close together are one: a user name and its password in two files, say.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// Follows a set of paths. Nothing runs and nothing wakes before [`Watcher::changed`] is awaited, or
/// while nothing happens.
///
/// Each path may be a file or a directory, whose every entry then counts, and may appear, be
/// replaced or vanish, as may each directory and each link on the way to it.
#[derive(Default)]
pub struct Watcher {
    paths: BTreeSet<PathBuf>,
    resolved_paths: BTreeMap<PathBuf, ResolvedPath>,
    watched: BTreeSet<PathBuf>,
    kernel: Option<INotifyWatcher>,
    state: Arc<WatchState>,
    /// The paths that are looked at, with what was seen last and what was seen when it was reported.
    polled: BTreeMap<PathBuf, (PollSnapshot, PollSnapshot)>,
    next_poll: Option<Instant>,
    faults: BTreeMap<PathBuf, String>,
}

impl Watcher {
    /// Follows `paths`, which are absolute, instead of those before. The new ones count as changed.
    pub fn set_paths(&mut self, paths: BTreeSet<PathBuf>) {
        if paths == self.paths {
            return;
        }
        let mut pending = self.state.pending();
        pending.dirty.retain(|path| paths.contains(path));
        pending.dirty.extend(paths.difference(&self.paths).cloned());
        pending.moved = true;
        self.paths = paths;
    }

    /// Waits for changes, and says which of the paths changed. A path whose file is being written is
    /// reported when the writer closes it. Nothing is lost when the future is dropped.
    pub async fn changed(&mut self) -> BTreeSet<PathBuf> {
        loop {
            self.update_watches();
            if !self.state.pending().dirty.is_empty() {
                tokio::time::sleep(DEBOUNCE).await;
                self.update_watches();
                let changed = std::mem::take(&mut self.state.pending().dirty);
                if !changed.is_empty() {
                    return changed;
                }
            }
            let state = Arc::clone(&self.state);
            let check = state.pending().next_check().map(Instant::from_std);
            tokio::select! {
                () = state.changed.notified() => {}
                () = sleep_until_some(check) => state.pending().check(Instant::now().into_std()),
                () = sleep_until_some(self.next_poll) => self.poll(),
            }
        }
    }

    /// Whether the file at `path` was written to and not closed since, as far as is known.
    pub fn is_written(&self, path: &Path) -> bool {
        let real = self.resolved_paths.get(path).and_then(|resolved| resolved.target.as_deref());
        let real = real.map(Path::to_owned).or_else(|| path.canonicalize().ok());
        real.is_some_and(|real| self.state.pending().is_written(&real))
    }

    /// Whether the path is only looked at from time to time, because no messages come of it.
    pub fn is_polled(&self, path: &Path) -> bool {
        self.polled.contains_key(path)
    }

    /// Why paths are looked at from time to time, where that is a fault and not their file system's
    /// nature.
    pub fn faults(&self) -> &BTreeMap<PathBuf, String> {
        &self.faults
    }

    /// Walks the ways again where something on them moved, and watches what is on them now.
    fn update_watches(&mut self) {
        let (invalid, lost, moved) = {
            let mut pending = self.state.pending();
            let invalid = std::mem::take(&mut pending.invalid);
            (invalid, std::mem::take(&mut pending.lost), std::mem::take(&mut pending.moved))
        };
        if !moved {
            return;
        }
        // What is below a directory that moved went with it, without a message of its own.
        let below = |path: &&PathBuf| invalid.iter().any(|invalid| path.starts_with(invalid));
        for path in self.watched.iter().filter(below).cloned().collect::<Vec<_>>() {
            self.unwatch(&path);
        }
        if lost {
            self.state.pending().dirty.extend(self.paths.iter().cloned());
        }
        self.faults.clear();
        // What is made while its directory is not watched yet makes no message, so the way is walked
        // until nothing new is on it. A limit, in case somebody keeps moving things.
        for _ in 0..16 {
            let resolved_paths: BTreeMap<PathBuf, ResolvedPath> =
                self.paths.iter().map(|path| (path.clone(), resolved_path::follow(path))).collect();
            let mut pending = self.state.pending();
            pending.set_resolved_paths(&resolved_paths);
            let other = resolved_paths
                .iter()
                .filter(|(path, resolved)| self.resolved_paths.get(*path) != Some(resolved));
            pending.dirty.extend(other.map(|(path, _)| path.clone()));
            drop(pending);
            self.resolved_paths = resolved_paths;
            if !self.watch_all() {
                break;
            }
        }
        self.update_polled();
    }

    /// Watches what is on the ways and nothing else; whether anything is watched that was not before.
    fn watch_all(&mut self) -> bool {
        let wanted: BTreeSet<PathBuf> = self
            .resolved_paths
            .values()
            .flat_map(|resolved| resolved.watches.iter().cloned())
            .collect();
        for path in self.watched.difference(&wanted).cloned().collect::<Vec<_>>() {
            self.unwatch(&path);
        }
        let mut news = false;
        for path in wanted.difference(&self.watched).cloned().collect::<Vec<_>>() {
            match self.watch(&path) {
                Ok(()) => {
                    self.watched.insert(path);
                    news = true;
                }
                // It went away since; the next walk sees what there is instead.
                Err(error) if is_gone(&error) => news = true,
                Err(error) => {
                    let fault = describe(&error);
                    let hit = self
                        .resolved_paths
                        .iter()
                        .filter(|(_, resolved)| resolved.watches.contains(&path));
                    self.faults.extend(hit.map(|(path, _)| (path.clone(), fault.clone())));
                }
            }
        }
        news
    }

    fn watch(&mut self, path: &Path) -> notify::Result<()> {
        let kernel = match &mut self.kernel {
            Some(kernel) => kernel,
            none => {
                let state = Arc::clone(&self.state);
                let on_event = move |message| state.on_event(message);
                none.insert(INotifyWatcher::new(on_event, notify::Config::default())?)
            }
        };
        kernel.watch(path, RecursiveMode::NonRecursive)
    }

    fn unwatch(&mut self, path: &Path) {
        if let (true, Some(kernel)) = (self.watched.remove(path), &mut self.kernel) {
            // The watch may be gone with what it watched.
            let _ = kernel.unwatch(path);
        }
    }

    /// Has the paths looked at that cannot be watched, and no others.
    fn update_polled(&mut self) {
        let blind =
            |path: &&PathBuf| self.faults.contains_key(*path) || poll_snapshot::is_blind(path);
        let blind: Vec<PathBuf> = self.paths.iter().filter(blind).cloned().collect();
        let mut before = std::mem::take(&mut self.polled);
        self.polled = blind
            .into_iter()
            .map(|path| {
                let snapshots = before.remove(&path).unwrap_or_else(|| {
                    let now = poll_snapshot(&path);
                    (now.clone(), now)
                });
                (path, snapshots)
            })
            .collect();
        if self.polled.is_empty() {
            self.next_poll = None;
        } else if self.next_poll.is_none() {
            self.next_poll = Some(Instant::now() + POLL_INTERVAL);
        }
    }

    /// Looks at the paths. A change is reported when it is seen twice alike, so that a writer has had
    /// its time.
    fn poll(&mut self) {
        let mut interval = POLL_INTERVAL;
        let mut pending = self.state.pending();
        for (path, (last, reported)) in &mut self.polled {
            let now = poll_snapshot(path);
            if now != *last {
                *last = now;
                interval = QUIET_PERIOD;
            } else if now != *reported {
                *reported = now;
                pending.dirty.insert(path.clone());
                pending.moved = true;
            }
        }
        self.next_poll = Some(Instant::now() + interval);
    }
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn describe(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::Io(error) => error.to_string(),
        notify::ErrorKind::MaxFilesWatch => "the limit of inotify watches is reached".to_owned(),
        other => format!("{other:?}"),
    }
}
