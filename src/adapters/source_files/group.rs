//! Locations that are read together, by a thread of their own, because they share a file system.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use super::content::{Content, ContentReader, SourceForm};
use super::settled_reader::SettledReader;
use super::{CODESPACES_FILES, RESPONSE_TIMEOUT};
use crate::adapters::file_watcher::{PathWatch, QUIET_PERIOD};
use crate::domain::declarations::file_format::Format;
use crate::domain::declarations::source::SourceKind;

/// The locations of one group. Their order is the precedence of what they say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GroupKey {
    /// The files of the Codespaces platform in this directory.
    Platform(PathBuf),
    /// A file or directory that the configuration names, by its place there.
    Configured(usize, PathBuf),
    /// Files with passwords in this directory.
    Passwords(PathBuf),
}

/// What a group's thread reports.
pub(super) struct Report {
    pub(super) group: GroupKey,
    pub(super) event: ReadEvent,
}

/// How far a thread is.
pub(super) enum ReadEvent {
    /// It looks at its locations, which may take for ever.
    Started,
    /// It has looked.
    Finished {
        /// What is said by each location that says something else than before.
        changed: Vec<(PathBuf, Content)>,
        /// Whether a location was being written and nothing is known of it.
        is_incomplete: bool,
        /// Why changes are not reported by the kernel.
        watch_fault: Option<String>,
    },
}

impl GroupKey {
    /// The path that all its locations are at or below.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Platform(path) | Self::Configured(_, path) | Self::Passwords(path) => path,
        }
    }

    /// The kind of source that its locations are; a file with a password is none.
    pub(super) fn source_kind(&self) -> Option<SourceKind> {
        match self {
            Self::Platform(_) => Some(SourceKind::Codespaces),
            Self::Configured(..) => Some(SourceKind::Configured),
            Self::Passwords(_) => None,
        }
    }

    fn form(&self, path: &Path) -> SourceForm {
        match self {
            Self::Platform(dir) => {
                let is_it = |(name, _): &&(&str, Format)| dir.join(name) == path;
                let known = CODESPACES_FILES.iter().find(is_it);
                SourceForm::PlatformFile(known.map_or(Format::EnvLines, |(_, format)| *format))
            }
            Self::Configured(_, path) if path == Path::new("/etc/environment") => {
                SourceForm::FileOrDirectory(Format::PamLines)
            }
            Self::Configured(..) => SourceForm::FileOrDirectory(Format::EnvLines),
            Self::Passwords(_) => SourceForm::Value,
        }
    }
}

/// Reads the locations again and again, and reports what they say; `known` is what they said before.
pub(super) fn read_and_report(
    group: &GroupKey,
    mut known: BTreeMap<PathBuf, Content>,
    mut watch: PathWatch,
    reports: &UnboundedSender<Report>,
) {
    let report = |event| reports.send(Report { group: group.clone(), event }).is_ok();
    let mut files = SettledReader::default();
    loop {
        if !report(ReadEvent::Started) {
            return;
        }
        let start = Instant::now();
        watch.update();
        files.look_again = None;
        let mut changed = Vec::new();
        let mut is_incomplete = false;
        for path in watch.paths() {
            let before = known.get(path);
            let mut reader = ContentReader { watch: &watch, files: &mut files };
            let empty = Content::default();
            match reader.read(path, group.form(path), before.unwrap_or(&empty)) {
                None => is_incomplete |= before.is_none(),
                Some(content) if before == Some(&content) => {}
                Some(content) => changed.push((path.clone(), content)),
            }
        }
        known.extend(changed.iter().cloned());
        let paths: &BTreeSet<PathBuf> = watch.paths();
        known.retain(|path, _| paths.contains(path));
        if start.elapsed() > RESPONSE_TIMEOUT {
            // A file system that was stuck may have recovered or have gone, and no event tells.
            files.look_again = Some(QUIET_PERIOD);
        }
        let watch_fault = watch.fault().map(str::to_owned);
        if !report(ReadEvent::Finished { changed, is_incomplete, watch_fault })
            || !watch.wait(files.look_again)
        {
            return;
        }
    }
}
