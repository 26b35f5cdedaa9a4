//! Accepts the content of a file once its writer has finished.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::RESPONSE_TIMEOUT;
use super::stable_read::{FileRead, FileStamp, Links, is_empty, read};
use crate::adapters::file_watcher::{PathWatch, QUIET_PERIOD};
use crate::domain::reasons::SourceReason;

/// How long a file must stay unchanged if the kernel cannot tell whether it is being written.
const RECHECK_INTERVAL: Duration = Duration::from_millis(25);
/// How long a file that is kept open for writing must stay unchanged before its content is
/// accepted.
const KEPT_OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads files, and remembers how long each has been unchanged.
#[derive(Default)]
pub(super) struct SettledReader {
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
    /// The file cannot be read.
    Failed(SourceReason),
    /// The file is being written: its earlier content still applies.
    Changing,
    /// The writer has kept the file open for too long. Contains the bytes once the file has stayed
    /// unchanged.
    KeptOpen(Option<Zeroizing<Vec<u8>>>),
    /// The file is complete.
    Whole(Zeroizing<Vec<u8>>),
}

impl SettledReader {
    /// Reads the file at `path`, of at most `limit` bytes.
    pub(super) fn read(
        &mut self,
        path: &Path,
        links: Links,
        limit: u64,
        watch: &PathWatch,
    ) -> SettledRead {
        let (bytes, stamp, has_writer) = match read(path, links, limit) {
            FileRead::Bytes { bytes, stamp, has_writer } => (bytes, stamp, has_writer),
            FileRead::Absent => return SettledRead::Absent,
            FileRead::Failed(reason) => return SettledRead::Failed(reason),
        };
        // On a polled file system the kernel knows only of writers on this machine.
        let has_writer = has_writer.filter(|has_writer| *has_writer || !watch.is_polled());
        let open = has_writer.unwrap_or_else(|| watch.is_written(path));
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
            None if watch.is_polled() || is_empty(stamp) => QUIET_PERIOD,
            None => RECHECK_INTERVAL,
        };
        let remaining = quiet_period.saturating_sub(now - seen.unchanged_since);
        let open_for = seen.open_since.map(|since| now - since);
        if remaining.is_zero() {
            // If the kernel cannot tell whether a file is open, `truncate(2)` may have changed it.
            let kept_open = has_writer == Some(true);
            return if kept_open {
                SettledRead::KeptOpen(Some(bytes))
            } else {
                SettledRead::Whole(bytes)
            };
        }
        let patience = open_for.map(|open_for| RESPONSE_TIMEOUT.saturating_sub(open_for));
        let overdue = patience.is_some_and(|patience| patience.is_zero());
        let wait =
            patience.filter(|_| !overdue).map_or(remaining, |patience| patience.min(remaining));
        self.look_again = Some(self.look_again.map_or(wait, |sooner| sooner.min(wait)));
        if overdue { SettledRead::KeptOpen(None) } else { SettledRead::Changing }
    }
}
