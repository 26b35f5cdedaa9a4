//! Watches a set of paths with inotify. Its calls block.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, INotifyWatcher, RecursiveMode, Watcher as _};

use super::polled_file_systems::must_be_polled;
use super::resolved_path::{self, ResolvedPath};

/// The polling interval for paths whose changes the kernel does not report.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How long after a write without a close a file is checked anyway: `truncate(2)` causes no close.
pub const QUIET_PERIOD: Duration = Duration::from_secs(1);
/// Changes within this time count as one, such as a user name and its password in two files.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// Identifies a file: device and inode.
type FileId = (u64, u64);

/// Why a wait ended.
pub(super) enum Wake {
    /// The kernel reported an event.
    Event(notify::Result<Event>),
    /// The set of paths changed.
    Follow(BTreeSet<PathBuf>),
    /// The thread must end.
    Stop,
}

/// Watches a set of paths. Call [`PathWatch::update`], read the paths, then call
/// [`PathWatch::wait`]: anything that happens after the update ends the wait.
pub struct PathWatch {
    paths: BTreeSet<PathBuf>,
    resolved_paths: Vec<ResolvedPath>,
    /// The watched paths, each with the file that was there when the watch began.
    watched: BTreeMap<PathBuf, Option<FileId>>,
    kernel: Option<INotifyWatcher>,
    /// The resolved paths of files that were written to and not closed since.
    writing: BTreeSet<PathBuf>,
    polled: bool,
    fault: Option<String>,
    wake: mpsc::Sender<Wake>,
    wakes: mpsc::Receiver<Wake>,
}

impl PathWatch {
    pub(super) fn new(
        paths: BTreeSet<PathBuf>,
        wake: mpsc::Sender<Wake>,
        wakes: mpsc::Receiver<Wake>,
    ) -> Self {
        Self {
            paths,
            resolved_paths: Vec::new(),
            watched: BTreeMap::new(),
            kernel: None,
            writing: BTreeSet::new(),
            polled: false,
            fault: None,
            wake,
            wakes,
        }
    }

    /// The watched paths.
    pub fn paths(&self) -> &BTreeSet<PathBuf> {
        &self.paths
    }

    /// Watches everything that the paths currently lead through.
    pub fn update(&mut self) {
        // Changes in a directory that is not watched yet are not reported, so resolve the paths
        // until nothing new turns up. The limit covers a program that keeps moving files.
        for _ in 0..16 {
            self.resolved_paths = self.resolve();
            self.fault = self.watch_all().err().map(|error| describe(&error));
            if self.resolve() == self.resolved_paths {
                break;
            }
        }
        self.polled = self.fault.is_some() || self.paths.iter().any(|path| must_be_polled(path));
    }

    /// Waits until the paths should be read again, for at most `limit`. Returns whether the thread
    /// should continue.
    pub fn wait(&mut self, limit: Option<Duration>) -> bool {
        let poll = self.polled.then_some(POLL_INTERVAL);
        let mut end = poll.into_iter().chain(limit).min().map(|limit| Instant::now() + limit);
        loop {
            let wake = match end {
                Some(end) => self.wakes.recv_timeout(end.saturating_duration_since(Instant::now())),
                None => self.wakes.recv().map_err(Into::into),
            };
            let delay = match wake {
                Ok(Wake::Stop) => return false,
                // `self` holds a sender as well, so the only possible error is the timeout.
                Err(_) => return true,
                Ok(Wake::Follow(paths)) if paths == self.paths => None,
                Ok(Wake::Follow(paths)) => {
                    self.paths = paths;
                    Some(Duration::ZERO)
                }
                Ok(Wake::Event(event)) => self.on_event(event),
            };
            let sooner = delay.map(|delay| Instant::now() + delay);
            end = end.into_iter().chain(sooner).min();
        }
    }

    /// Whether the file at `path` was written to and not closed since, according to the kernel's
    /// events.
    pub fn is_written(&self, path: &Path) -> bool {
        !self.writing.is_empty()
            && path.canonicalize().is_ok_and(|real| self.writing.contains(&real))
    }

    /// Whether changes are only found by polling.
    pub fn is_polled(&self) -> bool {
        self.polled
    }

    /// Why paths are polled, if that is a fault and not a property of their file system.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn resolve(&self) -> Vec<ResolvedPath> {
        self.paths.iter().map(|path| resolved_path::follow(path)).collect()
    }

    /// Watches exactly what the resolved paths lead through.
    fn watch_all(&mut self) -> notify::Result<()> {
        let wanted = self.resolved_paths.iter().flat_map(|resolved| &resolved.watches);
        let wanted: BTreeMap<_, _> = wanted.map(|path| (path.clone(), file_id(path))).collect();
        let kernel = match &mut self.kernel {
            Some(kernel) => kernel,
            none => {
                let wake = self.wake.clone();
                none.insert(INotifyWatcher::new(
                    move |event| {
                        // Reads must not wake the thread, because its own reads are reported too.
                        if !is_reading(&event) {
                            let _ = wake.send(Wake::Event(event));
                        }
                    },
                    notify::Config::default(),
                )?)
            }
        };
        // A watch belongs to a file and not to its path. It stays with a file that is moved, and ends
        // when the file is deleted.
        for (path, file) in &self.watched {
            if wanted.get(path) != Some(file) {
                // The watch may have ended with its file.
                let _ = kernel.unwatch(path);
            }
        }
        self.watched = wanted;
        // Watch each path anew; that has no effect on a file which is watched already.
        for path in self.watched.keys() {
            match kernel.watch(path, RecursiveMode::NonRecursive) {
                // The path is gone; resolving again finds its replacement.
                Err(_) if path.symlink_metadata().is_err() => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// How soon an event requires another look at the paths, if it does.
    fn on_event(&mut self, event: notify::Result<Event>) -> Option<Duration> {
        let Some(event) = event.ok().filter(|event| !event.need_rescan()) else {
            // Events were lost.
            self.writing.clear();
            return Some(DEBOUNCE);
        };
        let mut delay = None;
        for path in event.paths {
            if !self.resolved_paths.iter().any(|resolved| resolved.depends_on(&path)) {
                continue;
            }
            delay = Some(DEBOUNCE);
            match event.kind {
                EventKind::Modify(ModifyKind::Data(_)) => {
                    self.writing.insert(path);
                    delay = Some(QUIET_PERIOD);
                }
                // A writer may change the mode before it has finished.
                EventKind::Modify(ModifyKind::Metadata(_)) => {}
                _ => {
                    self.writing.remove(&path);
                }
            }
        }
        delay
    }
}

/// The device and inode of the file at `path`, which contains no links; `None` if it is gone.
fn file_id(path: &Path) -> Option<FileId> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn is_reading(event: &notify::Result<Event>) -> bool {
    event.as_ref().is_ok_and(|event| match event.kind {
        EventKind::Access(access) => access != AccessKind::Close(AccessMode::Write),
        _ => false,
    })
}

fn describe(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::Io(error) => error.to_string(),
        notify::ErrorKind::MaxFilesWatch => "the limit of inotify watches is reached".to_owned(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inodes that inotify watches for this process.
    fn watched_inodes() -> BTreeSet<u64> {
        let mut inodes = BTreeSet::new();
        for info in fs::read_dir("/proc/self/fdinfo").unwrap().flatten() {
            let text = fs::read_to_string(info.path()).unwrap_or_default();
            let watches = text.lines().filter(|line| line.starts_with("inotify "));
            let inode =
                |watch: &str| watch.split_once("ino:")?.1.split(' ').next().map(str::to_owned);
            let numbers = watches.filter_map(inode);
            inodes.extend(numbers.map(|number| u64::from_str_radix(&number, 16).unwrap()));
        }
        inodes
    }

    #[test]
    fn a_file_that_was_moved_away_is_no_longer_watched() {
        let root = tempfile::tempdir().unwrap();
        // In a top-level directory, the file itself is watched.
        let top_level = Path::new("/tmp").join(format!("registry-agent-{}", std::process::id()));
        for path in [root.path().join("file"), top_level] {
            let make = || {
                fs::write(&path, "content").unwrap();
                path.metadata().unwrap().ino()
            };
            let away = |round| path.with_extension(format!("old-{round}"));
            let mut current = make();
            let (wake, wakes) = mpsc::channel();
            let mut watch = PathWatch::new([path.clone()].into(), wake, wakes);
            watch.update();
            let is_itself_watched = watched_inodes().contains(&current);
            for round in 0..5 {
                let before = current;
                fs::rename(&path, away(round)).unwrap();
                current = make();
                assert!(watch.wait(Some(Duration::from_secs(10))));
                watch.update();
                let watched = watched_inodes();
                assert_eq!(watched.contains(&current), is_itself_watched, "round {round}");
                assert!(!watched.contains(&before), "round {round}");
            }
            let all = (0..5).map(away).chain([path.clone()]);
            all.for_each(|path| fs::remove_file(path).unwrap());
        }
    }

    #[test]
    fn a_directory_that_was_swapped_is_no_longer_watched() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("dir");
        let make = || {
            fs::create_dir_all(dir.join("inner")).unwrap();
            fs::write(dir.join("inner/file"), "content").unwrap();
            [dir.clone(), dir.join("inner")].map(|it| it.metadata().unwrap().ino())
        };
        let mut current = make();
        let (wake, wakes) = mpsc::channel();
        let mut watch = PathWatch::new([dir.join("inner/file")].into(), wake, wakes);
        watch.update();
        for round in 0..5 {
            let before = current;
            fs::rename(&dir, root.path().join(format!("old-{round}"))).unwrap();
            current = make();
            // The paths may be read for another reason, before the event arrives.
            watch.update();
            assert!(watch.wait(Some(Duration::from_secs(10))));
            watch.update();
            let watched = watched_inodes();
            assert!(current.iter().all(|inode| watched.contains(inode)), "round {round}");
            assert!(!before.iter().any(|inode| watched.contains(inode)), "round {round}");
        }
    }
}
