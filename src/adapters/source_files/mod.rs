//! The files and directories that provide variables, watched for changes.
//!
//! Each group of locations has a thread that reads it and reports to the task that owns
//! [`FileSources`]. A file system that does not respond blocks only its own thread.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::file_watcher::{Follower, POLL_INTERVAL};
use crate::domain::declarations::discovery::PasswordFiles;
use crate::domain::declarations::file_format::Format;
use crate::domain::declarations::source::{Source, SourceKind};
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::{Severity, SourceReason};
use crate::wire::handoff::{SavedFile, conceal, reveal};

mod content;
mod group;
mod settled_reader;
mod stable_read;

use content::Content;
use group::{GroupKey, ReadResult, Report, read_and_report};

/// The directory of the Codespaces platform.
pub const CODESPACES_DIR: &str = "/workspaces/.codespaces/shared";

/// Its files, highest precedence first.
const CODESPACES_FILES: [(&str, Format); 5] = [
    ("user-secrets-envs.json", Format::JsonObject),
    (".env-secrets", Format::Base64Lines),
    (".user-secrets.json", Format::JsonArray),
    (".env", Format::EnvLines),
    ("environment-variables.json", Format::JsonObject),
];

/// How long a location may take to respond, or a writer may keep a file open, before it becomes a
/// problem.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a new agent waits for locations whose earlier content it knows.
const RESTORED_TIMEOUT: Duration = Duration::from_millis(100);

/// All sources that are files.
pub struct FileSources {
    groups: BTreeMap<GroupKey, Group>,
    /// The previous agent's content of files that are not watched yet.
    saved: BTreeMap<PathBuf, Content>,
    /// The locations whose absence is a problem.
    required: BTreeSet<PathBuf>,
    sender: UnboundedSender<Report>,
    reports: UnboundedReceiver<Report>,
}

/// Some locations, and the progress of their thread.
#[derive(Default)]
struct Group {
    /// The last content of each location; `None` while unknown.
    contents: Vec<(PathBuf, Option<Content>)>,
    follower: Option<Follower>,
    /// When the thread started reading; `None` while it is idle.
    started_at: Option<Instant>,
    has_answered: bool,
    hangs: bool,
    watch_fault: Option<String>,
}

impl FileSources {
    /// The platform's files in the directory `codespaces`, and the env files and secrets
    /// directories `configured`, highest precedence first. Their content in `saved` applies until
    /// they respond.
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
        let mut sources =
            Self { groups: BTreeMap::new(), saved, required: BTreeSet::new(), sender, reports };
        let files = CODESPACES_FILES.iter().map(|(name, _)| codespaces.join(name));
        let platform = (SourceKind::Codespaces, codespaces, files.collect());
        let others = configured.iter();
        let others = others.map(|path| (SourceKind::Configured, &**path, vec![path.clone()]));
        for (position, (kind, path, files)) in iter::once(platform).chain(others).enumerate() {
            let key = GroupKey { kind: Some(kind), position, path: path.to_owned() };
            sources.follow_group(key, files);
        }
        sources
    }

    /// Makes the absence of these locations a problem.
    #[must_use]
    pub fn requiring(self, required: BTreeSet<PathBuf>) -> Self {
        Self { required, ..self }
    }

    /// The content to save for the next agent.
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

    /// Waits until each location has responded or timed out. The wait is short for locations whose
    /// earlier content is known.
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

    /// The content of the files, highest precedence first. A file that is being written, is
    /// incomplete or does not respond keeps its earlier content.
    pub fn sources(&self) -> Vec<Source> {
        let mut sources = Vec::new();
        for (key, group) in &self.groups {
            let Some(kind) = key.kind else { continue };
            for (path, content) in &group.contents {
                let variables = content.as_ref().and_then(|content| content.variables.clone());
                let name = shown(path);
                sources.extend(variables.map(|variables| Source { kind, name, variables }));
            }
        }
        sources
    }

    /// Problems with the files.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, group) in &self.groups {
            let is_source = key.kind.is_some();
            let known =
                group.contents.iter().filter_map(|(path, content)| Some((path, content.as_ref()?)));
            // An unreadable password is a problem of its declaration.
            for (path, content) in
                known.filter(|(_, content)| is_source || content.variables.is_some())
            {
                let source = is_source.then_some(path.as_path());
                let found = content.problems.iter().cloned();
                let is_absent = *content == Content::default() && self.required.contains(path);
                let absent = is_absent.then(|| SourceReason::NoSource { path: shown(path) });
                problems.extend(found.chain(absent).map(|reason| problem(reason, source)));
            }
            if group.hangs {
                problems.push(problem(hanging(&key.path), None));
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

    /// Why a file or directory cannot be read that may contain `variable`.
    pub fn unread(&self, variable: &str) -> Option<SourceReason> {
        let mut sources = self.groups.iter().filter(|(key, _)| key.kind.is_some());
        sources.find_map(|(key, group)| {
            let found = group.contents.iter().filter_map(|(path, content)| {
                let problems = &content.as_ref()?.problems;
                problems.iter().find(|reason| may_hide(reason, path, variable))
            });
            let hanging = group.hangs.then(|| hanging(&key.path));
            found.cloned().chain(hanging).next()
        })
    }

    /// Replaces the set of watched password files, and returns their content. `None` while one of
    /// them has not responded; [`FileSources::changed`] resolves when it does, or times out.
    pub fn follow_passwords(&mut self, paths: &BTreeSet<PathBuf>) -> Option<PasswordFiles> {
        let mut wanted: BTreeMap<GroupKey, Vec<PathBuf>> = BTreeMap::new();
        for path in paths {
            let dir = path.parent().unwrap_or(path).to_owned();
            let key = GroupKey { kind: None, position: 0, path: dir };
            wanted.entry(key).or_default().push(path.clone());
        }
        self.groups.retain(|key, _| key.kind.is_some() || wanted.contains_key(key));
        for (key, paths) in wanted {
            self.follow_group(key, paths);
        }
        let groups = self.groups.iter().filter(|(key, _)| key.kind.is_none());
        let contents =
            groups.flat_map(|(_, group)| group.contents.iter().map(move |it| (group, it)));
        let passwords = contents.map(|(group, (path, content))| {
            let known = content.as_ref().and_then(Content::value);
            let password = known.or_else(|| group.hangs.then(|| Err(hanging(path))))?;
            Some((path.clone(), password))
        });
        passwords.collect()
    }

    /// Resolves when the content of a file or its problem changes. The method is cancel safe.
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
                    if self.apply(report) {
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

    /// Applies one report. Returns whether anything changed.
    fn apply(&mut self, Report { group, result }: Report) -> bool {
        let Some(group) = self.groups.get_mut(&group) else { return false };
        let Some(ReadResult { mut contents, watch_fault }) = result else {
            group.started_at = Some(Instant::now());
            return false;
        };
        group.started_at = None;
        let mut news = std::mem::take(&mut group.hangs) || group.watch_fault != watch_fault;
        group.watch_fault = watch_fault;
        for (path, known) in &mut group.contents {
            let content = contents.remove(path).filter(|content| known.as_ref() != Some(content));
            news |= content.is_some();
            *known = content.or(known.take());
        }
        if group.is_known() {
            news |= !std::mem::replace(&mut group.has_answered, true);
        }
        news
    }

    /// Sets the locations of a group, highest precedence first, and starts or updates its thread.
    fn follow_group(&mut self, key: GroupKey, paths: Vec<PathBuf>) {
        let group = self.groups.entry(key.clone()).or_default();
        if group.contents.iter().map(|(path, _)| path).eq(&paths) {
            return;
        }
        let mut before: BTreeMap<_, _> = std::mem::take(&mut group.contents).into_iter().collect();
        for path in paths {
            let known = before.remove(&path).flatten().or_else(|| self.saved.remove(&path));
            group.contents.push((path, known));
        }
        let paths = group.contents.iter().map(|(path, _)| path.clone()).collect();
        if let Some(follower) = &group.follower {
            return follower.follow(paths);
        }
        let known = group.contents.iter().cloned();
        let known = known.filter_map(|(path, content)| Some((path, content?))).collect();
        let sender = self.sender.clone();
        let read = move |watch| read_and_report(&key, known, watch, &sender);
        group.started_at = Some(Instant::now());
        // Without a thread the location never responds, which becomes a problem by itself.
        group.follower = Some(Follower::spawn(paths, read));
    }
}

impl Group {
    /// Whether the content of every location is known.
    fn is_known(&self) -> bool {
        self.contents.iter().all(|(_, content)| content.is_some())
    }
}

/// Whether the reason keeps the agent from a `variable` in the location at `path`. The files of a
/// secrets directory have one variable each.
fn may_hide(reason: &SourceReason, path: &Path, variable: &str) -> bool {
    let file = Path::new(reason.path());
    match reason {
        SourceReason::BadValue { variable: refused, .. } => refused == variable,
        _ if file != path => file.file_name().is_some_and(|name| name == variable),
        _ => reason.severity() == Severity::Error,
    }
}

fn hanging(path: &Path) -> SourceReason {
    SourceReason::Hanging { path: shown(path) }
}

fn problem(reason: SourceReason, source: Option<&Path>) -> Problem {
    Problem {
        family: None,
        name: reason.path().to_owned(),
        source: source.map(shown),
        server: None,
        reason: reason.into(),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
