//! Accepts the content of a file once its writer has finished.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::RESPONSE_TIMEOUT;
use super::stable_read::{FileRead, FileStamp, Links, read};
use crate::adapters::file_watcher::{PathWatch, QUIET_PERIOD};
use crate::adapters::open_files;
use crate::domain::reasons::SourceReason;

/// How long a file must stay unchanged if the kernel cannot tell whether it is being written.
const RECHECK_INTERVAL: Duration = Duration::from_millis(25);
/// How long a file that is kept open for writing must stay unchanged before its content is
/// accepted.
const KEPT_OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads watched files, and remembers how long each has been unchanged.
pub(super) struct SettledReader {
    pub(super) watch: PathWatch,
    /// The files of this round.
    files: BTreeMap<PathBuf, Observed>,
    /// The files of the round before that were not read in this one.
    before: BTreeMap<PathBuf, Observed>,
    /// How soon to look again, in case no event reports that a file is complete.
    pub(super) reread_in: Option<Duration>,
}

/// The last observed state of one file.
struct Observed {
    /// `None` if it did not exist.
    stamp: Option<FileStamp>,
    unchanged_since: Instant,
    open_since: Option<Instant>,
}

/// The acceptable content of a file.
pub(super) enum SettledRead {
    /// The file does not exist.
    Absent,
    /// The file is being written: its earlier content still applies.
    Changing,
    /// The file is complete.
    Bytes {
        bytes: Zeroizing<Vec<u8>>,
        /// The user ID of the file's owner.
        owner: u32,
        /// Why it may be incomplete: a writer keeps it open, but has not changed it for long.
        kept_open: Option<SourceReason>,
    },
}

impl SettledReader {
    pub(super) fn new(watch: PathWatch) -> Self {
        Self { watch, files: BTreeMap::new(), before: BTreeMap::new(), reread_in: None }
    }

    /// Begins to read the files again. Those that were not read in the last round are forgotten.
    pub(super) fn begin_round(&mut self) {
        self.before = std::mem::take(&mut self.files);
        self.reread_in = None;
    }

    /// Reads the file at `path`, of at most `limit` bytes.
    pub(super) fn read(
        &mut self,
        path: &Path,
        links: Links,
        limit: u64,
    ) -> Result<SettledRead, SourceReason> {
        let known = self.before.remove(path);
        let is_first = known.is_none();
        let now = Instant::now();
        let absent = Observed { stamp: None, unchanged_since: now, open_since: None };
        let seen = self.files.entry(path.to_owned()).or_insert(known.unwrap_or(absent));
        let Some(FileRead { bytes, stamp, owner, has_writer }) = read(path, links, limit)? else {
            (seen.stamp, seen.open_since) = (None, None);
            return Ok(SettledRead::Absent);
        };
        let is_polled = self.watch.is_polled();
        // On a polled file system the kernel knows only of writers on this machine.
        let has_writer = has_writer.filter(|has_writer| *has_writer || !is_polled);
        let open = has_writer.unwrap_or_else(|| self.watch.is_written(path));
        if seen.stamp != Some(stamp) {
            (seen.stamp, seen.unchanged_since) = (Some(stamp), now);
        }
        seen.open_since = open.then(|| seen.open_since.unwrap_or(now));
        let quiet_period = match has_writer {
            _ if open => KEPT_OPEN_TIMEOUT,
            Some(_) => Duration::ZERO,
            // A file that existed before the agent started has most likely been complete for a long
            // time.
            None if is_first => Duration::ZERO,
            // There may be a delay between the truncation of a file by a new writer and the event.
            None if is_polled || bytes.is_empty() => QUIET_PERIOD,
            None => RECHECK_INTERVAL,
        };
        let kept_open = || SourceReason::KeptOpen {
            path: path.display().to_string(),
            writer: open_files::writer_of(path),
        };
        let remaining = quiet_period.saturating_sub(now - seen.unchanged_since);
        if remaining.is_zero() {
            // If the kernel cannot tell whether a file is open, `truncate(2)` may have changed it.
            let kept_open = (has_writer == Some(true)).then(kept_open);
            return Ok(SettledRead::Bytes { bytes, owner, kept_open });
        }
        let patience = seen.open_since.map(|since| RESPONSE_TIMEOUT.saturating_sub(now - since));
        let is_overdue = patience.is_some_and(|patience| patience.is_zero());
        let sooner = patience.filter(|_| !is_overdue).into_iter().chain([remaining]);
        self.reread_in = self.reread_in.into_iter().chain(sooner).min();
        if is_overdue { Err(kept_open()) } else { Ok(SettledRead::Changing) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::sync::mpsc;

    use super::*;
    use crate::adapters::file_watcher::Follower;

    fn reader(paths: &[&Path]) -> SettledReader {
        let (sender, watch) = mpsc::channel();
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let _follower = Follower::spawn(paths, move |watch| sender.send(watch).unwrap());
        SettledReader::new(watch.recv().unwrap())
    }

    fn read_all(reader: &mut SettledReader, paths: &[PathBuf]) -> Vec<&'static str> {
        reader.begin_round();
        let read = paths.iter().map(|path| reader.read(path, Links::Followed, 99));
        let word = |read| match read {
            Ok(SettledRead::Absent) => "absent",
            Ok(SettledRead::Changing) => "changing",
            Ok(SettledRead::Bytes { .. }) => "whole",
            Err(_) => "kept open",
        };
        read.map(word).collect()
    }

    #[test]
    fn a_new_file_is_not_kept_open_because_a_removed_one_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut reader = reader(&[&path]);
        let paths = [path.clone()];
        let writer = File::create(&path).unwrap();
        assert_eq!(read_all(&mut reader, &paths), ["changing"]);
        for file in reader.files.values_mut() {
            file.open_since = file.open_since.and_then(|at| at.checked_sub(RESPONSE_TIMEOUT));
        }
        assert_eq!(read_all(&mut reader, &paths), ["kept open"]);
        drop(writer);
        fs::remove_file(&path).unwrap();
        assert_eq!(read_all(&mut reader, &paths), ["absent"]);
        let _writer = File::create(&path).unwrap();
        assert_eq!(read_all(&mut reader, &paths), ["changing"]);
    }

    #[test]
    fn files_that_are_gone_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = reader(&[dir.path()]);
        for round in 0..5 {
            let path = dir.path().join(format!("file-{round}"));
            fs::write(&path, "content").unwrap();
            read_all(&mut reader, std::slice::from_ref(&path));
            fs::remove_file(&path).unwrap();
            assert!(reader.files.len() == 1, "round {round}: {} files", reader.files.len());
        }
    }
}
