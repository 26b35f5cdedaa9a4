//! What the kernel's messages mean for the paths of interest, kept between the thread that gets them
//! and the task that asks.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind};
use tokio::sync::Notify;

use super::resolved_path::ResolvedPath;

/// The pending changes, and a signal that there are some.
#[derive(Default)]
pub(super) struct WatchState {
    pub(super) changed: Notify,
    pending: Mutex<PendingChanges>,
}

/// What is known.
#[derive(Default)]
pub(super) struct PendingChanges {
    /// The paths of interest that each real path is on the way to.
    by_entry: HashMap<PathBuf, BTreeSet<PathBuf>>,
    /// The paths of interest that each real directory is, all of whose entries count.
    directories: HashMap<PathBuf, BTreeSet<PathBuf>>,
    /// Files that were written to and not closed since, and when to see whether that is still so.
    writing: HashMap<PathBuf, Option<Instant>>,
    /// What has changed and was not taken yet.
    pub(super) dirty: BTreeSet<PathBuf>,
    /// Watches that are invalid, because what they watched was moved or deleted.
    pub(super) invalid: HashSet<PathBuf>,
    /// Whether the ways have to be walked again.
    pub(super) moved: bool,
    /// Whether messages were lost.
    pub(super) lost: bool,
}

/// How long a file may be open for writing before it is checked whether it really is: what
/// `truncate(2)` did, or `linkat(2)`, no close will follow.
const OPEN_FOR_WRITE_TIMEOUT: Duration = Duration::from_secs(1);

impl WatchState {
    pub(super) fn pending(&self) -> MutexGuard<'_, PendingChanges> {
        // A panic in between leaves sets that are no worse than before.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one message of the kernel.
    pub(super) fn on_event(&self, message: notify::Result<Event>) {
        let mut pending = self.pending();
        let notifies = match message {
            Ok(event) if event.need_rescan() => pending.on_lost_events(),
            Ok(event) => {
                // Every path counts, whether or not an earlier one did.
                let news = event.paths.iter().filter(|path| pending.on_change(event.kind, path));
                news.count() > 0
            }
            Err(_) => pending.on_lost_events(),
        };
        drop(pending);
        if notifies {
            self.changed.notify_one();
        }
    }
}

impl PendingChanges {
    /// Learns the ways to the paths of interest.
    pub(super) fn set_resolved_paths(&mut self, resolved_paths: &BTreeMap<PathBuf, ResolvedPath>) {
        self.by_entry.clear();
        self.directories.clear();
        for (interest, resolved) in resolved_paths {
            for entry in &resolved.entries {
                self.by_entry.entry(entry.clone()).or_default().insert(interest.clone());
            }
            if let (Some(target), true) = (&resolved.target, resolved.is_dir) {
                self.directories.entry(target.clone()).or_default().insert(interest.clone());
            }
        }
        let Self { by_entry, directories, writing, .. } = self;
        writing.retain(|path, _| !interests(by_entry, directories, path).is_empty());
    }

    /// Whether the file at the real path `path` was written to and not closed since.
    pub(super) fn is_written(&self, path: &Path) -> bool {
        self.writing.contains_key(path)
    }

    /// When to check whether the files that seem to be written to still are.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.writing.values().flatten().min().copied()
    }

    /// Has the files whose time has come read again, once.
    pub(super) fn check(&mut self, now: Instant) {
        let due = |at: &Option<Instant>| at.is_some_and(|at| at <= now);
        let paths: Vec<PathBuf> =
            self.writing.iter().filter(|(_, at)| due(at)).map(|(path, _)| path.clone()).collect();
        for path in paths {
            self.dirty.extend(interests(&self.by_entry, &self.directories, &path));
            self.writing.insert(path, None);
        }
    }

    /// Whether the message is news.
    fn on_change(&mut self, kind: EventKind, path: &Path) -> bool {
        let interests = interests(&self.by_entry, &self.directories, path);
        if interests.is_empty() {
            return false;
        }
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                self.writing.remove(path);
            }
            EventKind::Access(_) => return false,
            EventKind::Modify(ModifyKind::Data(_)) => return self.wait_for_close(path),
            EventKind::Modify(ModifyKind::Metadata(_)) => {
                // Also what the last name of a file that is watched itself looks like when it is deleted.
                self.moved = true;
                if self.writing.contains_key(path) && path.exists() {
                    return false;
                }
            }
            EventKind::Create(CreateKind::File) => {
                self.moved = true;
                // Who made it now writes it; a link is whole.
                let fresh =
                    fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && it.nlink() == 1);
                if fresh {
                    self.wait_for_close(path);
                    return true;
                }
            }
            _ => {
                self.moved = true;
                self.invalid.insert(path.to_owned());
                self.writing.remove(path);
            }
        }
        self.dirty.extend(interests);
        true
    }

    /// Records that a file is being written; the only news is when to check on it.
    fn wait_for_close(&mut self, path: &Path) -> bool {
        self.writing
            .insert(path.to_owned(), Some(Instant::now() + OPEN_FOR_WRITE_TIMEOUT))
            .is_none()
    }

    fn on_lost_events(&mut self) -> bool {
        self.moved = true;
        self.lost = true;
        self.writing.clear();
        true
    }
}

/// The paths of interest that a change of the real path `path` is news for.
fn interests(
    by_entry: &HashMap<PathBuf, BTreeSet<PathBuf>>,
    directories: &HashMap<PathBuf, BTreeSet<PathBuf>>,
    path: &Path,
) -> BTreeSet<PathBuf> {
    let inside = path.parent().and_then(|dir| directories.get(dir));
    let through = [by_entry.get(path), directories.get(path), inside];
    through.into_iter().flatten().flatten().cloned().collect()
}
