//! Groups of locations that share a file system and are read by one thread.

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

/// Identifies a group. The order is the precedence of its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GroupKey {
    /// The files of the Codespaces platform in this directory.
    Platform(PathBuf),
    /// A configured file or directory, with its position in the configuration.
    Configured(usize, PathBuf),
    /// Password files in this directory.
    Passwords(PathBuf),
}

/// A report from the thread of a group.
pub(super) struct Report {
    pub(super) group: GroupKey,
    pub(super) event: ReadEvent,
}

/// The progress of a thread.
pub(super) enum ReadEvent {
    /// It started reading its locations, which may take forever.
    Started,
    /// It has finished reading.
    Finished {
        /// The locations whose content changed.
        changed: Vec<(PathBuf, Content)>,
        /// Whether an unknown location is still being written.
        is_incomplete: bool,
        /// Why the kernel does not report changes.
        watch_fault: Option<String>,
    },
}

impl GroupKey {
    /// The common ancestor of all its locations.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Platform(path) | Self::Configured(_, path) | Self::Passwords(path) => path,
        }
    }

    /// The kind of source of its locations; `None` for password files.
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

/// Reads the locations repeatedly and reports changes; `known` is their earlier content.
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
            // A file system that hung may have recovered or vanished, and no event reports that.
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
