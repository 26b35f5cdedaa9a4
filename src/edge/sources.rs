//! The files and directories that variables come from, followed as they change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::watch::{LOOK_INTERVAL, REST, Watcher};
use crate::domain::discovery::PasswordFiles;
use crate::domain::problem::Problem;
use crate::domain::reason::SourceReason;
use crate::domain::secret::Secret;
use crate::domain::source::{Source, SourceKind, Variables};
use crate::domain::source_file::Format;

mod content;
mod read;

use content::{Content, Form};
use read::{Links, Reading, Unsure, VALUE_LIMIT};

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
const DOUBT: Duration = Duration::from_millis(25);

/// All sources that are files. Nothing runs and nothing is watched until [`FileSources::changed`] is
/// awaited, so that they can be read before any thread exists.
pub struct FileSources {
    places: Vec<Place>,
    /// The files with passwords; nothing for one that somebody was writing whenever it was read.
    passwords: BTreeMap<PathBuf, Option<Result<Secret, SourceReason>>>,
    watcher: Watcher,
    /// What is to be read.
    stale: BTreeSet<PathBuf>,
    /// Files that are read again at an instant, because no message may tell that they are at rest, with
    /// the state they were in.
    doubted: BTreeMap<PathBuf, (Instant, Unsure)>,
    /// Whether changes are waited for. Before, there is no second look, and what is there is believed.
    awaited: bool,
    /// What was wrong with watching when it was last reported.
    faults: BTreeMap<PathBuf, String>,
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

    /// Resolves when the files say something else than before, or something else is wrong with them.
    /// Nothing is lost when the future is dropped.
    pub async fn changed(&mut self) {
        self.awaited = true;
        loop {
            let first = self.doubted.values().map(|(at, _)| *at).min();
            tokio::select! {
                changed = self.watcher.changed() => self.stale.extend(changed),
                () = instant(first) => {
                    let now = Instant::now();
                    let due = self.doubted.iter().filter(|(_, (at, _))| *at <= now);
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
        for index in 0..self.places.len() {
            if self.stale.remove(&self.places[index].path) {
                news |= self.read_place(index);
            }
        }
        for path in std::mem::take(&mut self.stale) {
            if self.passwords.contains_key(&path) {
                news |= self.read_password(&path);
            }
        }
        news
    }

    fn read_place(&mut self, index: usize) -> bool {
        let place = &mut self.places[index];
        let watcher = &self.watcher;
        let is_written = |path: &Path| watcher.is_written(path);
        let content = place.form.read(&place.path, place.kind, place.known.as_ref(), &is_written);
        let path = place.path.clone();
        let (known, problems, unsure) = match content {
            Content::Busy => {
                self.wait_for_rest(path);
                return false;
            }
            Content::Nothing => (None, Vec::new(), None),
            Content::Bad(reason) => (place.known.clone(), vec![reason], None),
            Content::Malformed { reason, unsure } => (place.known.clone(), vec![reason], unsure),
            Content::Says { variables, problems, unsure } => (Some(variables), problems, unsure),
        };
        let news = (&place.known, &place.problems) != (&known, &problems);
        if news && self.is_doubtful(&path, unsure) {
            return false;
        }
        self.doubted.remove(&path);
        let place = &mut self.places[index];
        (place.known, place.problems) = (known, problems);
        news
    }

    fn read_password(&mut self, path: &Path) -> bool {
        let must_be_free = self.watcher.is_written(path);
        let before = self.passwords.get(path).cloned().flatten();
        let (result, unsure) = match read::read(path, Links::Followed, VALUE_LIMIT, must_be_free) {
            Reading::Busy => {
                self.wait_for_rest(path.to_owned());
                self.passwords.insert(path.to_owned(), before);
                return false;
            }
            Reading::Absent => (Err(SourceReason::Missing { path: shown(path) }), None),
            Reading::Failed(reason) => (Err(reason), None),
            Reading::Whole { bytes, unsure } => (content::value(&bytes, path), unsure),
        };
        let news = before.as_ref() != Some(&result);
        if news && before.is_some() && self.is_doubtful(path, unsure) {
            return false;
        }
        self.doubted.remove(path);
        self.passwords.insert(path.to_owned(), Some(result));
        news
    }

    /// Whether to wait and see whether the file stays as it is. One that is empty waits longer: the
    /// kernel may take its time between emptying a file for its new writer and the message of that.
    fn is_doubtful(&mut self, path: &Path, unsure: Unsure) -> bool {
        let Some(state) = unsure.filter(|_| self.awaited) else { return false };
        let now = Instant::now();
        let doubt = if read::is_empty(state) { REST } else { DOUBT };
        match self.doubted.get(path) {
            Some((at, state)) if *state == unsure => *at > now,
            _ => {
                self.doubted.insert(path.to_owned(), (now + doubt, unsure));
                true
            }
        }
    }

    /// Has a file that is being written read again, where no message comes when it is closed.
    fn wait_for_rest(&mut self, path: PathBuf) {
        if self.watcher.is_looked_at(&path) {
            self.doubted.insert(path, (Instant::now() + REST, None));
        } else {
            self.doubted.remove(&path);
        }
    }

    fn follow(&mut self) {
        let places = self.places.iter().map(|place| place.path.clone());
        self.watcher.set_paths(places.chain(self.passwords.keys().cloned()).collect());
    }
}

async fn instant(at: Option<Instant>) {
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
