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
    files: BTreeMap<PathBuf, Observed>,
    /// How soon to look again, in case no event reports that a file is complete.
    pub(super) look_again: Option<Duration>,
}

/// The last observed state of one file.
struct Observed {
    stamp: FileStamp,
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
        /// Why it may be incomplete: a writer keeps it open, but has not changed it for long.
        kept_open: Option<SourceReason>,
    },
}

impl SettledReader {
    pub(super) fn new(watch: PathWatch) -> Self {
        Self { watch, files: BTreeMap::new(), look_again: None }
    }

    /// Reads the file at `path`, of at most `limit` bytes.
    pub(super) fn read(
        &mut self,
        path: &Path,
        links: Links,
        limit: u64,
    ) -> Result<SettledRead, SourceReason> {
        let Some(FileRead { bytes, stamp, has_writer }) = read(path, links, limit)? else {
            return Ok(SettledRead::Absent);
        };
        let is_polled = self.watch.is_polled();
        // On a polled file system the kernel knows only of writers on this machine.
        let has_writer = has_writer.filter(|has_writer| *has_writer || !is_polled);
        let open = has_writer.unwrap_or_else(|| self.watch.is_written(path));
        let now = Instant::now();
        let is_first = !self.files.contains_key(path);
        let new = Observed { stamp, unchanged_since: now, open_since: None };
        let seen = self.files.entry(path.to_owned()).or_insert(new);
        if seen.stamp != stamp {
            (seen.stamp, seen.unchanged_since) = (stamp, now);
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
            return Ok(SettledRead::Bytes { bytes, kept_open });
        }
        let patience = seen.open_since.map(|since| RESPONSE_TIMEOUT.saturating_sub(now - since));
        let is_overdue = patience.is_some_and(|patience| patience.is_zero());
        let sooner = patience.filter(|_| !is_overdue).into_iter().chain([remaining]);
        self.look_again = self.look_again.into_iter().chain(sooner).min();
        if is_overdue { Err(kept_open()) } else { Ok(SettledRead::Changing) }
    }
}
