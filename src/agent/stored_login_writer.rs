//! Reads and writes stored logins on a thread of its own, so that nothing else waits for the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc as reports;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::adapters::stored_logins::{StoredChange, StoredLoginFile, StoredLogins, StoredOutcome};
use crate::domain::declarations::declaration::STORED;
use crate::domain::reasons::LoginReason;
use crate::domain::reasons::problem::Problem;

/// After this time without a response the file becomes a problem, and startup continues without it.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// How long shutdown waits for a change in progress.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// Tells the requester whether the change took effect.
pub type ChangeAnswer = oneshot::Sender<io::Result<bool>>;

/// Queues changes for the thread, which makes them one at a time.
pub struct StoredLoginWriter {
    path: PathBuf,
    changes: mpsc::Sender<(StoredChange, Option<ChangeAnswer>)>,
    reports: reports::UnboundedReceiver<StoredReport>,
    problem: Option<LoginReason>,
}

/// The result of reading the file or of a change.
pub struct StoredReport {
    /// The logins from now on and what reverts the change, or the error that left the logins as
    /// they were.
    pub outcome: io::Result<StoredOutcome>,
    /// Where the requester of the change waits; `None` for a read or a revert.
    pub answer: Option<ChangeAnswer>,
}

impl StoredLoginWriter {
    /// Starts the thread, which first reads the file in `state_dir`.
    pub fn new(state_dir: &Path) -> io::Result<Self> {
        let (changes, queue) = mpsc::channel();
        let (sender, reports) = reports::unbounded_channel();
        let directory = state_dir.to_owned();
        thread::Builder::new()
            .name("stored-logins".to_owned())
            .spawn(move || work(&directory, &queue, &sender))?;
        Ok(Self { path: state_dir.join("logins.json"), changes, reports, problem: None })
    }

    /// The content of the file. Empty, with a problem recorded, if it cannot be read or does not
    /// respond.
    pub async fn first(&mut self) -> StoredLogins {
        let path = self.path.display().to_string();
        self.problem = Some(match timeout(READ_TIMEOUT, self.reports.recv()).await {
            Ok(Some(StoredReport { outcome: Ok(outcome), .. })) => return outcome.logins,
            Ok(Some(StoredReport { outcome: Err(error), .. })) => {
                LoginReason::StoredUnreadable { path, fault: error.to_string() }
            }
            _ => LoginReason::StoredHanging { path },
        });
        StoredLogins::default()
    }

    /// The next report. A report with the file's content clears the problem.
    pub async fn next(&mut self) -> StoredReport {
        let Some(report) = self.reports.recv().await else { return std::future::pending().await };
        match &report.outcome {
            Ok(_) => self.problem = None,
            // The result of the first read, which arrived too late for `first`.
            Err(error) if report.answer.is_none() && self.problem.is_some() => {
                let path = self.path.display().to_string();
                self.problem =
                    Some(LoginReason::StoredUnreadable { path, fault: error.to_string() });
            }
            Err(_) => {}
        }
        report
    }

    /// Queues a change. The thread skips it if the requester has gone away by then.
    pub fn change(&self, change: StoredChange, answer: Option<ChangeAnswer>) {
        // The thread lives as long as `self`. If it died, the requester sees its channel closed.
        let _ = self.changes.send((change, answer));
    }

    /// Why stored logins cannot be used.
    pub fn problem(&self) -> Option<Problem> {
        let reason = self.problem.clone()?.into();
        let name = self.path.display().to_string();
        Some(Problem { family: None, name, source: Some(STORED.to_owned()), server: None, reason })
    }

    /// Waits for a change in progress, unless it hangs.
    pub async fn close(self) {
        let Self { changes, mut reports, .. } = self;
        drop(changes);
        let _ = timeout(CLOSE_TIMEOUT, async { while reports.recv().await.is_some() {} }).await;
    }
}

fn work(
    state_dir: &Path,
    changes: &mpsc::Receiver<(StoredChange, Option<ChangeAnswer>)>,
    reports: &reports::UnboundedSender<StoredReport>,
) {
    let file = StoredLoginFile::open(state_dir);
    let read = file.read();
    let mut known = read.as_ref().map_or_else(|_| StoredLogins::default(), Clone::clone);
    let outcome = read.map(|logins| StoredOutcome { logins, put: None, undo: None });
    // The receiver is gone once the agent ends.
    let _ = reports.send(StoredReport { outcome, answer: None });
    for (change, answer) in changes {
        let is_wanted = || answer.as_ref().is_none_or(|answer| !answer.is_closed());
        if !is_wanted() {
            continue;
        }
        let outcome = file.change(&known, change, &is_wanted).map_err(|error| {
            let fault = format!("{} cannot be written: {error}", file.path().display());
            io::Error::new(error.kind(), fault)
        });
        match &outcome {
            Ok(outcome) => known = outcome.logins.clone(),
            Err(error) => tracing::warn!("{error}"),
        }
        let _ = reports.send(StoredReport { outcome, answer });
    }
}
