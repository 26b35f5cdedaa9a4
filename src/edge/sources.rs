//! The files and directories that variables come from, followed as they change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::watch::{LOOK_INTERVAL, Watcher};
use crate::domain::discovery::PasswordFiles;
use crate::domain::problem::Problem;
use crate::domain::reason::SourceReason;
use crate::domain::secret::Secret;
use crate::domain::source::{Source, SourceKind, Variables};
use crate::domain::source_file::Format;

mod content;
mod read;

use content::{Content, Form};
use read::Reading;

/// The directory of the Codespaces platform.
pub const CODESPACES_DIR: &str = "/workspaces/.codespaces/shared";

/// Its files, the highest first.
const CODESPACES_FILES: [(&str, Format); 5] = [
    ("user-secrets-envs.json", Format::JsonObject),
    (".env-secrets", Format::Base64Lines),
    (".user-secrets.json", Format::JsonArray),
    (".env", Format::EnvLines),
    ("environment-variables.json", Format::JsonObject),
];

/// How long a file must stay empty to be taken for empty, where the kernel does not say whether
/// somebody is about to write it.
const DOUBT: Duration = Duration::from_millis(50);

/// All sources that are files. Nothing runs and nothing is watched until [`FileSources::changed`] is
/// awaited, so that they can be read before any thread exists.
pub struct FileSources {
    places: Vec<Place>,
    /// The files with passwords; nothing for one that somebody was writing whenever it was read.
    passwords: BTreeMap<PathBuf, Option<Result<Secret, SourceReason>>>,
    watcher: Watcher,
    /// What is to be read.
    stale: BTreeSet<PathBuf>,
    /// Files that are not believed to be empty before that instant.
    doubted: BTreeMap<PathBuf, Instant>,
}

/// A file or directory, and what it said when it was last whole.
struct Place {
    path: PathBuf,
    kind: SourceKind,
    form: Form,
    known: Option<Variables>,
    problems: Vec<SourceReason>,
}

impl FileSources {
    /// The files of the Codespaces platform in `codespaces`, and the env files and secrets directories
    /// `configured`, the highest first.
    pub fn new(codespaces: &Path, configured: &[PathBuf]) -> Self {
        let place = |path: PathBuf, kind, form| Place {
            path,
            kind,
            form,
            known: None,
            problems: Vec::new(),
        };
        let platform = CODESPACES_FILES.iter().map(|(name, format)| {
            place(codespaces.join(name), SourceKind::Codespaces, Form::File(*format))
        });
        let configured = configured
            .iter()
            .map(|path| place(path.clone(), SourceKind::Configured, Form::of_configured(path)));
        let places: Vec<Place> = platform.chain(configured).collect();
        let stale = places.iter().map(|place| place.path.clone()).collect();
        let mut sources = Self {
            places,
            passwords: BTreeMap::new(),
            watcher: Watcher::default(),
            stale,
            doubted: BTreeMap::new(),
        };
        sources.follow();
        sources
    }

    /// What the files say, the highest first, and what is wrong with them. Only what has changed since
    /// the last call is read. What is being written, or is not whole, still says what it said before.
    pub fn read(&mut self) -> (Vec<Source>, Vec<Problem>) {
        for index in 0..self.places.len() {
            if self.stale.remove(&self.places[index].path) {
                self.read_place(index);
            }
        }
        let sources = self.places.iter().filter_map(|place| {
            Some(Source {
                kind: place.kind,
                name: shown(&place.path),
                variables: place.known.clone()?,
            })
        });
        let faults = self.places.iter().flat_map(|place| {
            let faults = place.problems.iter().cloned();
            faults.map(|reason| problem(&reason, Some(&place.path)))
        });
        let unwatched = self.watcher.faults().iter().map(|(path, fault)| {
            let (path, fault) = (shown(path), fault.clone());
            let seconds = LOOK_INTERVAL.as_secs();
            problem(&SourceReason::NotWatched { path, seconds, fault }, None)
        });
        (sources.collect(), faults.chain(unwatched).collect())
    }

    /// Follows the files that hold passwords, instead of those before, and says what is in them.
    pub fn follow_passwords(&mut self, paths: &BTreeSet<PathBuf>) -> PasswordFiles {
        self.passwords.retain(|path, _| paths.contains(path));
        for path in paths {
            let is_stale = self.stale.remove(path);
            if is_stale || !self.passwords.contains_key(path) {
                self.read_password(path);
            }
        }
        self.follow();
        let held = self.passwords.iter();
        held.filter_map(|(path, result)| Some((path.clone(), result.clone()?))).collect()
    }

    /// Resolves when something has changed: read again. Nothing is lost when the future is dropped.
    pub async fn changed(&mut self) {
        if self.doubted.is_empty() {
            let changed = self.watcher.changed().await;
            self.stale.extend(changed);
            return;
        }
        let first = self.doubted.values().min().copied().unwrap_or_else(Instant::now);
        tokio::select! {
            changed = self.watcher.changed() => self.stale.extend(changed),
            () = sleep_until(first) => {
                let now = Instant::now();
                let due = self.doubted.iter().filter(|(_, at)| **at <= now);
                self.stale.extend(due.map(|(path, _)| path.clone()));
            }
        }
    }

    fn read_place(&mut self, index: usize) {
        let place = &mut self.places[index];
        let watcher = &self.watcher;
        let is_written = |path: &Path| watcher.is_written(path);
        let content = place.form.read(&place.path, place.kind, place.known.as_ref(), &is_written);
        let path = place.path.clone();
        match content {
            Content::Busy => {}
            Content::Nothing => (place.known, place.problems) = (None, Vec::new()),
            Content::Bad(reason) => place.problems = vec![reason],
            Content::Says { variables, problems, sure } => {
                let emptied = variables.is_empty()
                    && place.known.as_ref().is_some_and(|before| !before.is_empty());
                if emptied && !sure && doubt(&mut self.doubted, &path) {
                    return;
                }
                (place.known, place.problems) = (Some(variables), problems);
            }
        }
        self.doubted.remove(&path);
    }

    fn read_password(&mut self, path: &Path) {
        let must_be_free = self.watcher.is_written(path);
        let before = self.passwords.get(path).cloned().flatten();
        let result = match read::read(path, read::Links::Followed, read::VALUE_LIMIT, must_be_free)
        {
            Reading::Busy => before,
            Reading::Absent => Some(Err(SourceReason::Missing { path: shown(path) })),
            Reading::Failed(reason) => Some(Err(reason)),
            Reading::Whole { bytes, sure } => {
                let emptied = bytes.is_empty() && matches!(&before, Some(Ok(it)) if !it.is_empty());
                if emptied && !sure && doubt(&mut self.doubted, path) {
                    return;
                }
                Some(content::value(&bytes, path))
            }
        };
        self.doubted.remove(path);
        self.passwords.insert(path.to_owned(), result);
    }

    fn follow(&mut self) {
        let places = self.places.iter().map(|place| place.path.clone());
        self.watcher.set_paths(places.chain(self.passwords.keys().cloned()).collect());
    }
}

/// Whether to wait and see whether the file stays empty.
fn doubt(doubted: &mut BTreeMap<PathBuf, Instant>, path: &Path) -> bool {
    let now = Instant::now();
    *doubted.entry(path.to_owned()).or_insert(now + DOUBT) > now
}

fn problem(reason: &SourceReason, source: Option<&Path>) -> Problem {
    Problem {
        name: reason.path().to_owned(),
        source: source.map(shown),
        reason: reason.clone().into(),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
