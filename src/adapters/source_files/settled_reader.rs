//! Believes a file once its writer has finished with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::RESPONSE_TIMEOUT;
use super::stable_read::{FileRead, FileStamp, Links, is_empty, read};
use crate::adapters::file_watcher::{PathWatch, QUIET_PERIOD};
use crate::domain::reasons::SourceReason;

/// How long a file must stay as it is, where the kernel does not say whether somebody writes it.
const RECHECK_INTERVAL: Duration = Duration::from_millis(25);
/// How long a file that somebody keeps open for writing must stay as it is before it is believed.
const KEPT_OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads files, and remembers since when each is as it is.
#[derive(Default)]
pub(super) struct SettledReader {
    files: BTreeMap<PathBuf, Observed>,
    /// How soon to look again, in case no event tells that a file is complete.
    pub(super) look_again: Option<Duration>,
}

/// One file as it was seen last.
struct Observed {
    stamp: FileStamp,
    unchanged_since: Instant,
    open_since: Option<Instant>,
}

/// What may be believed of a file.
pub(super) enum SettledRead {
    /// There is no such file.
    Absent,
    /// It cannot be read.
    Failed(SourceReason),
    /// It is being written: what was known still counts.
    Changing,
    /// Its writer has kept it open for too long. The bytes, once it has stayed as it is.
    KeptOpen(Option<Zeroizing<Vec<u8>>>),
    /// It is complete.
    Whole(Zeroizing<Vec<u8>>),
}

impl SettledReader {
    /// Reads the file at `path`, if it is of `limit` bytes at most.
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
        // On a polled file system the kernel knows of writers on this machine only.
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
            // What was there before the agent has most likely been complete for long.
            None if is_first => Duration::ZERO,
            // The kernel may take its time between emptying a file for its new writer and the event.
            None if watch.is_polled() || is_empty(stamp) => QUIET_PERIOD,
            None => RECHECK_INTERVAL,
        };
        let remaining = quiet_period.saturating_sub(now - seen.unchanged_since);
        let open_for = seen.open_since.map(|since| now - since);
        if remaining.is_zero() {
            // Where the kernel does not say whether a file is open, `truncate(2)` may have changed it.
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
