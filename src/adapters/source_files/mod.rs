//! The files and directories that variables come from, followed as they change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::file_watcher::{POLL_INTERVAL, QUIET_PERIOD, Watcher};
use crate::domain::credentials::secret::Secret;
use crate::domain::declarations::discovery::PasswordFiles;
use crate::domain::declarations::file_format::Format;
use crate::domain::declarations::source::{Source, SourceKind, Variables};
use crate::domain::reasons::SourceReason;
use crate::domain::reasons::problem::Problem;

mod content;
mod stable_read;

use content::{SourceContent, SourceForm};
use stable_read::{Links, MaybeChanging, ReadOutcome, VALUE_LIMIT};

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

/// How long a file must stay as it is to be believed, where the kernel does not say whether somebody
/// writes it.
const RECHECK_INTERVAL: Duration = Duration::from_millis(25);

/// All sources that are files. Nothing runs and nothing is watched until [`FileSources::changed`] is
/// awaited, so that they can be read before any thread exists.
pub struct FileSources {
    locations: Vec<SourceLocation>,
    /// The files with passwords; nothing for one that somebody was writing whenever it was read.
    passwords: BTreeMap<PathBuf, Option<Result<Secret, SourceReason>>>,
    watcher: Watcher,
    /// What is to be read.
    stale: BTreeSet<PathBuf>,
    /// Files that are read again at an instant, because no event may tell that they are complete, with
    /// the state they were in.
    recheck: BTreeMap<PathBuf, (Instant, MaybeChanging)>,
    /// Whether changes are waited for. Before, there is no second look, and what is there is believed.
    awaited: bool,
    /// What was wrong with watching when it was last reported.
    faults: BTreeMap<PathBuf, String>,
}

/// A file or directory, and what it said when it was last whole.
struct SourceLocation {
    path: PathBuf,
    kind: SourceKind,
    form: SourceForm,
    known: Option<Variables>,
    problems: Vec<SourceReason>,
}

impl FileSources {
    /// The files of the Codespaces platform in `codespaces`, and the env files and secrets directories
    /// `configured`, the highest first.
    pub fn new(codespaces: &Path, configured: &[PathBuf]) -> Self {
        let location = |path: PathBuf, kind, form| SourceLocation {
            path,
            kind,
            form,
            known: None,
            problems: Vec::new(),
        };
        let platform = CODESPACES_FILES.iter().map(|(name, format)| {
            location(codespaces.join(name), SourceKind::Codespaces, SourceForm::File(*format))
        });
        let configured = configured.iter().map(|path| {
            location(path.clone(), SourceKind::Configured, SourceForm::of_configured(path))
        });
        let locations: Vec<SourceLocation> = platform.chain(configured).collect();
        let stale = locations.iter().map(|location| location.path.clone()).collect();
        let mut sources = Self {
            locations,
            passwords: BTreeMap::new(),
            watcher: Watcher::default(),
            stale,
            recheck: BTreeMap::new(),
            awaited: false,
            faults: BTreeMap::new(),
        };
        sources.follow();
        sources
    }

    /// What the files say, the highest first, and what is wrong with them. Only what has changed since
    /// the last call is read. What is being written, or is not whole, still says what it said before.
    pub fn read(&mut self) -> (Vec<Source>, Vec<Problem>) {
        self.read_stale();
        let sources = self.locations.iter().filter_map(|location| {
            Some(Source {
                kind: location.kind,
                name: shown(&location.path),
                variables: location.known.clone()?,
            })
        });
        let faults = self.locations.iter().flat_map(|location| {
            let faults = location.problems.iter().cloned();
            faults.map(|reason| problem(&reason, Some(&location.path)))
        });
        let unwatched = self.watcher.faults().iter().map(|(path, fault)| {
            let (path, fault) = (shown(path), fault.clone());
            let seconds = POLL_INTERVAL.as_secs();
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

    /// Resolves when the files say something else than before, or something else is wrong with them.
    /// Nothing is lost when the future is dropped.
    pub async fn changed(&mut self) {
        self.awaited = true;
        loop {
            let first = self.recheck.values().map(|(at, _)| *at).min();
            tokio::select! {
                changed = self.watcher.changed() => self.stale.extend(changed),
                () = sleep_until_some(first) => {
                    let now = Instant::now();
                    let due = self.recheck.iter().filter(|(_, (at, _))| *at <= now);
                    self.stale.extend(due.map(|(path, _)| path.clone()));
                }
            }
            if self.read_stale() {
                return;
            }
        }
    }

    /// Reads what has changed; whether it says something else.
    fn read_stale(&mut self) -> bool {
        let mut news = self.faults != *self.watcher.faults();
        if news {
            self.faults.clone_from(self.watcher.faults());
        }
        for index in 0..self.locations.len() {
            if self.stale.remove(&self.locations[index].path) {
                news |= self.read_location(index);
            }
        }
        for path in std::mem::take(&mut self.stale) {
            if self.passwords.contains_key(&path) {
                news |= self.read_password(&path);
            }
        }
        news
    }

    fn read_location(&mut self, index: usize) -> bool {
        let location = &mut self.locations[index];
        let watcher = &self.watcher;
        let is_written = |path: &Path| watcher.is_written(path);
        let content =
            location.form.read(&location.path, location.kind, location.known.as_ref(), &is_written);
        let path = location.path.clone();
        let (known, problems, maybe_changing) = match content {
            SourceContent::Busy => {
                self.wait_until_quiet(path);
                return false;
            }
            SourceContent::Nothing => (None, Vec::new(), None),
            SourceContent::Bad(reason) => (location.known.clone(), vec![reason], None),
            SourceContent::Malformed { reason, maybe_changing } => {
                (location.known.clone(), vec![reason], maybe_changing)
            }
            SourceContent::Says { variables, problems, maybe_changing } => {
                (Some(variables), problems, maybe_changing)
            }
        };
        let news = (&location.known, &location.problems) != (&known, &problems);
        if news && self.needs_recheck(&path, maybe_changing) {
            return false;
        }
        self.recheck.remove(&path);
        let location = &mut self.locations[index];
        (location.known, location.problems) = (known, problems);
        news
    }

    fn read_password(&mut self, path: &Path) -> bool {
        let must_be_free = self.watcher.is_written(path);
        let before = self.passwords.get(path).cloned().flatten();
        let (result, maybe_changing) =
            match stable_read::read(path, Links::Followed, VALUE_LIMIT, must_be_free) {
                ReadOutcome::Busy => {
                    self.wait_until_quiet(path.to_owned());
                    self.passwords.insert(path.to_owned(), before);
                    return false;
                }
                ReadOutcome::Absent => (Err(SourceReason::Missing { path: shown(path) }), None),
                ReadOutcome::Failed(reason) => (Err(reason), None),
                ReadOutcome::Whole { bytes, maybe_changing } => {
                    (content::value(&bytes, path), maybe_changing)
                }
            };
        let news = before.as_ref() != Some(&result);
        if news && before.is_some() && self.needs_recheck(path, maybe_changing) {
            return false;
        }
        self.recheck.remove(path);
        self.passwords.insert(path.to_owned(), Some(result));
        news
    }

    /// Whether to wait and see whether the file stays as it is. One that is empty waits longer: the
    /// kernel may take its time between emptying a file for its new writer and the message of that.
    fn needs_recheck(&mut self, path: &Path, maybe_changing: MaybeChanging) -> bool {
        let Some(state) = maybe_changing.filter(|_| self.awaited) else { return false };
        let now = Instant::now();
        let interval = if stable_read::is_empty(state) { QUIET_PERIOD } else { RECHECK_INTERVAL };
        match self.recheck.get(path) {
            Some((at, state)) if *state == maybe_changing => *at > now,
            _ => {
                self.recheck.insert(path.to_owned(), (now + interval, maybe_changing));
                true
            }
        }
    }

    /// Has a file that is being written read again, where no message comes when it is closed.
    fn wait_until_quiet(&mut self, path: PathBuf) {
        if self.watcher.is_polled(&path) {
            self.recheck.insert(path, (Instant::now() + QUIET_PERIOD, None));
        } else {
            self.recheck.remove(&path);
        }
    }

    fn follow(&mut self) {
        let locations = self.locations.iter().map(|location| location.path.clone());
        self.watcher.set_paths(locations.chain(self.passwords.keys().cloned()).collect());
    }
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
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
