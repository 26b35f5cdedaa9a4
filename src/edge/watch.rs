//! Following paths as they change: files, directories, and what is not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{INotifyWatcher, RecursiveMode, Watcher as _};
use tokio::time::{Instant, sleep_until};

mod board;
mod look;
mod trail;

use board::Board;
use look::{Look, look};
use trail::Trail;

/// The time between two looks at a path whose changes the kernel does not report.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How soon a path that was seen to change is looked at again, to see whether it has come to rest.
pub const REST: Duration = Duration::from_secs(1);
/// Changes this close together are one: a user name and its password in two files, say.
const SETTLE: Duration = Duration::from_millis(10);

/// Follows a set of paths. Nothing runs and nothing wakes before [`Watcher::changed`] is awaited, or
/// while nothing happens.
///
/// Each path may be a file or a directory, whose every entry then counts, and may appear, be
/// replaced or vanish, as may each directory and each link on the way to it.
#[derive(Default)]
pub struct Watcher {
    paths: BTreeSet<PathBuf>,
    trails: BTreeMap<PathBuf, Trail>,
    watched: BTreeSet<PathBuf>,
    kernel: Option<INotifyWatcher>,
    board: Arc<Board>,
    /// The paths that are looked at, with what was seen last and what was seen when it was reported.
    looked_at: BTreeMap<PathBuf, (Look, Look)>,
    next_look: Option<Instant>,
    faults: BTreeMap<PathBuf, String>,
}

impl Watcher {
    /// Follows `paths`, which are absolute, instead of those before. The new ones count as changed.
    pub fn set_paths(&mut self, paths: BTreeSet<PathBuf>) {
        if paths == self.paths {
            return;
        }
        let mut notes = self.board.notes();
        notes.dirty.retain(|path| paths.contains(path));
        notes.dirty.extend(paths.difference(&self.paths).cloned());
        notes.moved = true;
        self.paths = paths;
    }

    /// Waits for changes, and says which of the paths changed. A path whose file is being written is
    /// reported when the writer closes it. Nothing is lost when the future is dropped.
    pub async fn changed(&mut self) -> BTreeSet<PathBuf> {
        loop {
            self.catch_up();
            if !self.board.notes().dirty.is_empty() {
                tokio::time::sleep(SETTLE).await;
                self.catch_up();
                let changed = std::mem::take(&mut self.board.notes().dirty);
                if !changed.is_empty() {
                    return changed;
                }
            }
            let board = Arc::clone(&self.board);
            let check = board.notes().next_check().map(Instant::from_std);
            tokio::select! {
                () = board.bell.notified() => {}
                () = instant(check) => board.notes().check(Instant::now().into_std()),
                () = instant(self.next_look) => self.look_around(),
            }
        }
    }

    /// Whether the file at `path` was written to and not closed since, as far as is known.
    pub fn is_written(&self, path: &Path) -> bool {
        let real = self.trails.get(path).and_then(|trail| trail.end.as_deref());
        let real = real.map(Path::to_owned).or_else(|| path.canonicalize().ok());
        real.is_some_and(|real| self.board.notes().is_written(&real))
    }

    /// Whether the path is only looked at from time to time, because no messages come of it.
    pub fn is_looked_at(&self, path: &Path) -> bool {
        self.looked_at.contains_key(path)
    }

    /// Why paths are looked at from time to time, where that is a fault and not their file system's
    /// nature.
    pub fn faults(&self) -> &BTreeMap<PathBuf, String> {
        &self.faults
    }

    /// Walks the ways again where something on them moved, and watches what is on them now.
    fn catch_up(&mut self) {
        let (void, lost, moved) = {
            let mut notes = self.board.notes();
            let void = std::mem::take(&mut notes.void);
            (void, std::mem::take(&mut notes.lost), std::mem::take(&mut notes.moved))
        };
        if !moved {
            return;
        }
        // What is below a directory that moved went with it, without a message of its own.
        let below = |path: &&PathBuf| void.iter().any(|void| path.starts_with(void));
        for path in self.watched.iter().filter(below).cloned().collect::<Vec<_>>() {
            self.unwatch(&path);
        }
        if lost {
            self.board.notes().dirty.extend(self.paths.iter().cloned());
        }
        self.faults.clear();
        // What is made while its directory is not watched yet makes no message, so the way is walked
        // until nothing new is on it. A limit, in case somebody keeps moving things.
        for _ in 0..16 {
            let trails: BTreeMap<PathBuf, Trail> =
                self.paths.iter().map(|path| (path.clone(), trail::follow(path))).collect();
            let mut notes = self.board.notes();
            notes.learn(&trails);
            let other = trails.iter().filter(|(path, trail)| self.trails.get(*path) != Some(trail));
            notes.dirty.extend(other.map(|(path, _)| path.clone()));
            drop(notes);
            self.trails = trails;
            if !self.watch_all() {
                break;
            }
        }
        self.arrange_looks();
    }

    /// Watches what is on the ways and nothing else; whether anything is watched that was not before.
    fn watch_all(&mut self) -> bool {
        let wanted: BTreeSet<PathBuf> =
            self.trails.values().flat_map(|trail| trail.watches.iter().cloned()).collect();
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
                    let hit = self.trails.iter().filter(|(_, trail)| trail.watches.contains(&path));
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
                let board = Arc::clone(&self.board);
                let post = move |message| board.post(message);
                none.insert(INotifyWatcher::new(post, notify::Config::default())?)
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
    fn arrange_looks(&mut self) {
        let blind = |path: &&PathBuf| self.faults.contains_key(*path) || look::is_blind(path);
        let blind: Vec<PathBuf> = self.paths.iter().filter(blind).cloned().collect();
        let mut before = std::mem::take(&mut self.looked_at);
        self.looked_at = blind
            .into_iter()
            .map(|path| {
                let looks = before.remove(&path).unwrap_or_else(|| {
                    let now = look(&path);
                    (now.clone(), now)
                });
                (path, looks)
            })
            .collect();
        if self.looked_at.is_empty() {
            self.next_look = None;
        } else if self.next_look.is_none() {
            self.next_look = Some(Instant::now() + LOOK_INTERVAL);
        }
    }

    /// Looks at the paths. A change is reported when it is seen twice alike, so that a writer has had
    /// its time.
    fn look_around(&mut self) {
        let mut interval = LOOK_INTERVAL;
        let mut notes = self.board.notes();
        for (path, (last, reported)) in &mut self.looked_at {
            let now = look(path);
            if now != *last {
                *last = now;
                interval = REST;
            } else if now != *reported {
                *reported = now;
                notes.dirty.insert(path.clone());
                notes.moved = true;
            }
        }
        self.next_look = Some(Instant::now() + interval);
    }
}

async fn instant(at: Option<Instant>) {
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
