//! Groups of locations that share a file system and are read by one thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use super::RESPONSE_TIMEOUT;
use super::content::{Content, read};
use super::settled_reader::SettledReader;
use crate::adapters::file_watcher::{PathWatch, QUIET_PERIOD};
use crate::domain::declarations::source::SourceKind;

/// Identifies a group. The order is the precedence of its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    /// The kind of source of its locations; `None` for password files.
    pub(super) kind: Option<SourceKind>,
    /// Its position in the configuration.
    pub(super) position: usize,
    /// The common ancestor of all its locations.
    pub(super) path: PathBuf,
}

/// A report from the thread of a group.
pub(super) struct Report {
    pub(super) group: GroupKey,
    /// `None` if the thread has just started reading, which may take forever.
    pub(super) result: Option<ReadResult>,
}

/// What a thread has read.
pub(super) struct ReadResult {
    /// The content of the locations, without those that are still being written for the first time.
    pub(super) contents: BTreeMap<PathBuf, Content>,
    /// Why the kernel does not report changes.
    pub(super) watch_fault: Option<String>,
}

/// Reads the locations whenever they change, and reports them; `known` is their earlier content.
pub(super) fn read_and_report(
    group: &GroupKey,
    mut known: BTreeMap<PathBuf, Content>,
    watch: PathWatch,
    reports: &UnboundedSender<Report>,
) {
    let report = |result| reports.send(Report { group: group.clone(), result }).is_ok();
    let mut files = SettledReader::new(watch);
    while report(None) {
        let start = Instant::now();
        files.watch.update();
        files.begin_round();
        let paths = files.watch.paths().clone();
        known.retain(|path, _| paths.contains(path));
        for path in paths {
            let content = read(&mut files, group.kind, &path, known.get(&path));
            known.extend(content.map(|content| (path, content)));
        }
        if start.elapsed() > RESPONSE_TIMEOUT {
            // A file system that hung may have recovered or vanished, and no event reports that.
            files.reread_in = Some(QUIET_PERIOD);
        }
        let watch_fault = files.watch.fault().map(str::to_owned);
        let result = ReadResult { contents: known.clone(), watch_fault };
        if !report(Some(result)) || !files.watch.wait(files.reread_in) {
            return;
        }
    }
}
