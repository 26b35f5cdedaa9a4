//! The files and directories that variables come from, followed as they change.
//!
//! Threads read them, one for each group of locations, and report to the task that owns
//! [`FileSources`]: a file system that does not respond stops its own thread and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::file_watcher::{Follower, POLL_INTERVAL};
use crate::domain::declarations::discovery::PasswordFiles;
use crate::domain::declarations::file_format::Format;
use crate::domain::declarations::source::Source;
use crate::domain::reasons::SourceReason;
use crate::domain::reasons::problem::Problem;
use crate::wire::handoff::{SavedFile, conceal, reveal};

mod content;
mod group;
mod settled_reader;
mod stable_read;

use content::Content;
use group::{GroupKey, ReadEvent, Report, read_and_report};

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

/// How long reading a location may take, and a writer keep a file open, before that is a problem.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a new agent waits for locations of which it knows what they said last.
const RESTORED_TIMEOUT: Duration = Duration::from_millis(100);

/// All sources that are files.
pub struct FileSources {
    groups: BTreeMap<GroupKey, Group>,
    /// What the last agent knew of files that are not followed yet.
    saved: BTreeMap<PathBuf, Content>,
    sender: UnboundedSender<Report>,
    reports: UnboundedReceiver<Report>,
}

/// Some locations, and how far their thread is.
#[derive(Default)]
struct Group {
    /// What each location said last; nothing for one that is not known.
    contents: Vec<(PathBuf, Option<Content>)>,
    follower: Option<Follower>,
    /// When the thread began to look, while it does.
    started_at: Option<Instant>,
    has_answered: bool,
    hangs: bool,
    watch_fault: Option<String>,
}

impl FileSources {
    /// The files of the Codespaces platform in `codespaces`, and the env files and secrets directories
    /// `configured`, the highest first. Until they answer they say what they said in `saved`.
    pub fn new(
        codespaces: &Path,
        configured: &[PathBuf],
        saved: BTreeMap<String, SavedFile>,
    ) -> Self {
        let (sender, reports) = unbounded_channel();
        let known = |SavedFile { variables, problems }| Content {
            variables: variables.map(conceal),
            problems,
        };
        let saved = saved.into_iter().map(|(path, file)| (path.into(), known(file))).collect();
        let mut sources = Self { groups: BTreeMap::new(), saved, sender, reports };
        let files = CODESPACES_FILES.iter().map(|(name, _)| codespaces.join(name));
        sources.follow_group(GroupKey::Platform(codespaces.to_owned()), files.collect());
        for (place, path) in configured.iter().enumerate() {
            sources.follow_group(GroupKey::Configured(place, path.clone()), vec![path.clone()]);
        }
        sources
    }

    /// What the next agent needs to know.
    pub fn save(&self) -> BTreeMap<String, SavedFile> {
        let contents = self.groups.values().flat_map(|group| &group.contents);
        contents
            .filter_map(|(path, content)| {
                let Content { variables, problems } = content.clone()?;
                let variables = variables.as_ref().map(reveal);
                Some((shown(path), SavedFile { variables, problems }))
            })
            .collect()
    }

    /// Waits until each location has answered or takes too long. One of which the last agent knew what
    /// it says is hardly waited for.
    pub async fn first_answers(&mut self) {
        let restored_end = Instant::now() + RESTORED_TIMEOUT;
        loop {
            let groups = self.groups.values();
            let waiting: Vec<_> =
                groups.filter(|group| !group.has_answered && !group.hangs).collect();
            if waiting.is_empty() {
                return;
            }
            let are_known = waiting.iter().all(|group| group.is_known());
            tokio::select! {
                () = self.changed() => {}
                () = sleep_until(restored_end), if are_known => return,
            }
        }
    }

    /// What the files say, the highest first. What is being written, is not whole or does not respond
    /// still says what it said before.
    pub fn sources(&self) -> Vec<Source> {
        let mut sources = Vec::new();
        for (key, group) in &self.groups {
            let Some(kind) = key.source_kind() else { continue };
            for (path, content) in &group.contents {
                let variables = content.as_ref().and_then(|content| content.variables.clone());
                let name = shown(path);
                sources.extend(variables.map(|variables| Source { kind, name, variables }));
            }
        }
        sources
    }

    /// What is wrong with the files.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, group) in &self.groups {
            let is_source = key.source_kind().is_some();
            let known =
                group.contents.iter().filter_map(|(path, content)| Some((path, content.as_ref()?)));
            // A password that is not known is a problem of its declaration.
            for (path, content) in
                known.filter(|(_, content)| is_source || content.variables.is_some())
            {
                let source = is_source.then_some(path.as_path());
                let found = content.problems.iter().cloned();
                problems.extend(found.map(|reason| problem(reason, source)));
            }
            if group.hangs {
                problems.push(problem(hanging(key.path()), None));
            }
            if let Some(fault) = &group.watch_fault {
                let not_watched = |(path, _): &(PathBuf, _)| SourceReason::NotWatched {
                    path: shown(path),
                    seconds: POLL_INTERVAL.as_secs(),
                    fault: fault.clone(),
                };
                let reasons = group.contents.iter().map(not_watched);
                problems.extend(reasons.map(|reason| problem(reason, None)));
            }
        }
        problems
    }

    /// Follows the files that hold passwords, instead of those before, and says what is in them. Nothing
    /// as long as one of them has not answered: it is a change when that does, or takes too long.
    pub fn follow_passwords(&mut self, paths: &BTreeSet<PathBuf>) -> Option<PasswordFiles> {
        let mut wanted: BTreeMap<GroupKey, Vec<PathBuf>> = BTreeMap::new();
        for path in paths {
            let dir = path.parent().unwrap_or(path).to_owned();
            wanted.entry(GroupKey::Passwords(dir)).or_default().push(path.clone());
        }
        self.groups.retain(|key, _| key.source_kind().is_some() || wanted.contains_key(key));
        let mut passwords = Some(PasswordFiles::new());
        for (key, paths) in wanted {
            let group = self.follow_group(key, paths);
            for (path, content) in &group.contents {
                let known = content.as_ref().and_then(Content::value);
                let overdue = group.hangs.then(|| Err(hanging(path)));
                let password = known.or(overdue);
                passwords = passwords.zip(password).map(|(mut passwords, password)| {
                    passwords.insert(path.clone(), password);
                    passwords
                });
            }
        }
        passwords
    }

    /// Resolves when the files say something else than before, or something else is wrong with them.
    /// Nothing is lost when the future is dropped.
    pub async fn changed(&mut self) {
        loop {
            let responsive = self.groups.values().filter(|group| !group.hangs);
            let overdue_at = responsive
                .filter_map(|group| group.started_at)
                .min()
                .map(|at| at + RESPONSE_TIMEOUT);
            tokio::select! {
                biased;
                Some(report) = self.reports.recv() => {
                    let mut news = self.apply(report);
                    while let Ok(report) = self.reports.try_recv() {
                        news |= self.apply(report);
                    }
                    if news {
                        return;
                    }
                }
                () = sleep_until(overdue_at.unwrap_or_else(Instant::now)), if overdue_at.is_some() => {
                    for group in self.groups.values_mut() {
                        let is_overdue = |at: Instant| at.elapsed() >= RESPONSE_TIMEOUT;
                        group.hangs = group.started_at.is_some_and(is_overdue);
                    }
                    return;
                }
            }
        }
    }

    /// Takes one report; whether it is news.
    fn apply(&mut self, Report { group, event }: Report) -> bool {
        let Some(group) = self.groups.get_mut(&group) else { return false };
        let ReadEvent::Finished { changed, is_incomplete, watch_fault } = event else {
            group.started_at = Some(Instant::now());
            return false;
        };
        group.started_at = None;
        let mut news = std::mem::take(&mut group.hangs);
        news |= !is_incomplete && !std::mem::replace(&mut group.has_answered, !is_incomplete);
        news |= group.watch_fault != watch_fault;
        group.watch_fault = watch_fault;
        for (path, content) in changed {
            let known = group.contents.iter_mut().find(|(known, _)| *known == path);
            if let Some((_, known)) = known
                && known.as_ref() != Some(&content)
            {
                *known = Some(content);
                news = true;
            }
        }
        news
    }

    /// Makes `paths` the locations of a group, the highest first, and has a thread follow them.
    fn follow_group(&mut self, key: GroupKey, paths: Vec<PathBuf>) -> &Group {
        let group = self.groups.entry(key.clone()).or_default();
        if group.contents.iter().map(|(path, _)| path).eq(&paths) {
            return group;
        }
        let mut before: BTreeMap<_, _> = std::mem::take(&mut group.contents).into_iter().collect();
        for path in paths {
            let known = before.remove(&path).flatten().or_else(|| self.saved.remove(&path));
            group.contents.push((path, known));
        }
        let paths = group.contents.iter().map(|(path, _)| path.clone()).collect();
        if let Some(follower) = &group.follower {
            follower.follow(paths);
            return group;
        }
        let known = group.contents.iter().cloned();
        let known = known.filter_map(|(path, content)| Some((path, content?))).collect();
        let (sender, thread_key) = (self.sender.clone(), key);
        let read = move |watch| read_and_report(&thread_key, known, watch, &sender);
        group.started_at = Some(Instant::now());
        match Follower::spawn(paths, read) {
            Ok(follower) => group.follower = Some(follower),
            // What nobody reads never answers, and becomes a problem as such.
            Err(error) => tracing::warn!("files cannot be followed: {error}"),
        }
        group
    }
}

impl Group {
    /// Whether something is known of every location.
    fn is_known(&self) -> bool {
        self.contents.iter().all(|(_, content)| content.is_some())
    }
}

fn hanging(path: &Path) -> SourceReason {
    SourceReason::Hanging { path: shown(path) }
}

fn problem(reason: SourceReason, source: Option<&Path>) -> Problem {
    Problem { name: reason.path().to_owned(), source: source.map(shown), reason: reason.into() }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
