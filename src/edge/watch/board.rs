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

use super::trail::Trail;

/// The board and a bell.
#[derive(Default)]
pub(super) struct Board {
    pub(super) bell: Notify,
    notes: Mutex<Notes>,
}

/// What is known.
#[derive(Default)]
pub(super) struct Notes {
    /// The paths of interest that each real path is on the way to.
    on_the_way: HashMap<PathBuf, BTreeSet<PathBuf>>,
    /// The paths of interest that each real directory is, all of whose entries count.
    directories: HashMap<PathBuf, BTreeSet<PathBuf>>,
    /// Files that were written to and not closed since, and when to see whether that is still so.
    writing: HashMap<PathBuf, Option<Instant>>,
    /// What has changed and was not taken yet.
    pub(super) dirty: BTreeSet<PathBuf>,
    /// Watches that are void, because what they watched was moved or deleted.
    pub(super) void: HashSet<PathBuf>,
    /// Whether the ways have to be walked again.
    pub(super) moved: bool,
    /// Whether messages were lost.
    pub(super) lost: bool,
}

/// How long a file may be open for writing before it is checked whether it really is: what
/// `truncate(2)` did, or `linkat(2)`, no close will follow.
const PATIENCE: Duration = Duration::from_secs(1);

impl Board {
    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        // A panic in between leaves sets that are no worse than before.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one message of the kernel.
    pub(super) fn post(&self, message: notify::Result<Event>) {
        let mut notes = self.notes();
        let rings = match message {
            Ok(event) if event.need_rescan() => notes.lose(),
            Ok(event) => {
                // Every path counts, whether or not an earlier one did.
                let news = event.paths.iter().filter(|path| notes.take(event.kind, path));
                news.count() > 0
            }
            Err(_) => notes.lose(),
        };
        drop(notes);
        if rings {
            self.bell.notify_one();
        }
    }
}

impl Notes {
    /// Learns the ways to the paths of interest.
    pub(super) fn learn(&mut self, trails: &BTreeMap<PathBuf, Trail>) {
        self.on_the_way.clear();
        self.directories.clear();
        for (interest, trail) in trails {
            for entry in &trail.entries {
                self.on_the_way.entry(entry.clone()).or_default().insert(interest.clone());
            }
            if let (Some(end), true) = (&trail.end, trail.is_dir) {
                self.directories.entry(end.clone()).or_default().insert(interest.clone());
            }
        }
        let Self { on_the_way, directories, writing, .. } = self;
        writing.retain(|path, _| !interests(on_the_way, directories, path).is_empty());
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
            self.dirty.extend(interests(&self.on_the_way, &self.directories, &path));
            self.writing.insert(path, None);
        }
    }

    /// Whether the message is news.
    fn take(&mut self, kind: EventKind, path: &Path) -> bool {
        let interests = interests(&self.on_the_way, &self.directories, path);
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
                // Also what the last name of a file that is watched itself looks like when it goes.
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
                self.void.insert(path.to_owned());
                self.writing.remove(path);
            }
        }
        self.dirty.extend(interests);
        true
    }

    /// Notes that a file is being written; that is no news but for the time to check on it.
    fn wait_for_close(&mut self, path: &Path) -> bool {
        self.writing.insert(path.to_owned(), Some(Instant::now() + PATIENCE)).is_none()
    }

    fn lose(&mut self) -> bool {
        self.moved = true;
        self.lost = true;
        self.writing.clear();
        true
    }
}

/// The paths of interest that a change of the real path `path` is news for.
fn interests(
    on_the_way: &HashMap<PathBuf, BTreeSet<PathBuf>>,
    directories: &HashMap<PathBuf, BTreeSet<PathBuf>>,
    path: &Path,
) -> BTreeSet<PathBuf> {
    let inside = path.parent().and_then(|dir| directories.get(dir));
    let through = [on_the_way.get(path), directories.get(path), inside];
    through.into_iter().flatten().flatten().cloned().collect()
}
