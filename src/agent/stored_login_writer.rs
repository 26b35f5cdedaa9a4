//! Has stored logins read and written by a thread of its own, so that nobody else waits for the disk.

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

/// After this time without an answer the file is a problem, and the start waits for it no longer.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the end of the agent waits for a change that is under way.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// Who asked for a change, to be told whether it changed anything.
pub type Asked = oneshot::Sender<io::Result<bool>>;

/// Hands changes to the thread, one after the other.
pub struct StoredLoginWriter {
    path: PathBuf,
    changes: mpsc::Sender<(StoredChange, Option<Asked>)>,
    reports: reports::UnboundedReceiver<StoredReport>,
    problem: Option<LoginReason>,
}

/// What came of reading the file or of a change.
pub struct StoredReport {
    /// The logins from now on, or why they are as they were, and what takes the change back.
    pub outcome: io::Result<StoredOutcome>,
    /// Who asked.
    pub asked: Option<Asked>,
}

impl StoredLoginWriter {
    /// Starts the thread, which reads the file in `state_dir`.
    pub fn new(state_dir: &Path) -> io::Result<Self> {
        let (changes, queue) = mpsc::channel();
        let (sender, reports) = reports::unbounded_channel();
        let directory = state_dir.to_owned();
        thread::Builder::new()
            .name("stored-logins".to_owned())
            .spawn(move || work(&directory, &queue, &sender))?;
        Ok(Self { path: state_dir.join("logins.json"), changes, reports, problem: None })
    }

    /// What the file holds; nothing, and a problem, when it cannot be read or does not respond.
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

    /// The next report; the file is no problem once one tells what it holds.
    pub async fn next(&mut self) -> StoredReport {
        let Some(report) = self.reports.recv().await else { return std::future::pending().await };
        match &report.outcome {
            Ok(_) => self.problem = None,
            // The answer to the first reading, which came too late for `first`.
            Err(error) if report.asked.is_none() && self.problem.is_some() => {
                let path = self.path.display().to_string();
                self.problem =
                    Some(LoginReason::StoredUnreadable { path, fault: error.to_string() });
            }
            Err(_) => {}
        }
        report
    }

    /// Hands a change over. One whose asker is gone before it is made is not made.
    pub fn change(&self, change: StoredChange, asked: Option<Asked>) {
        // The thread lives as long as this; were it dead, who asked would hear that nobody answers.
        let _ = self.changes.send((change, asked));
    }

    /// What keeps stored logins from being used.
    pub fn problem(&self) -> Option<Problem> {
        let reason = self.problem.clone()?.into();
        let name = self.path.display().to_string();
        Some(Problem { name, source: Some(STORED.to_owned()), reason })
    }

    /// Lets a change that is under way come to its end, unless it hangs.
    pub async fn close(self) {
        let Self { changes, mut reports, .. } = self;
        drop(changes);
        let _ = timeout(CLOSE_TIMEOUT, async { while reports.recv().await.is_some() {} }).await;
    }
}

fn work(
    state_dir: &Path,
    changes: &mpsc::Receiver<(StoredChange, Option<Asked>)>,
    reports: &reports::UnboundedSender<StoredReport>,
) {
    let file = StoredLoginFile::open(state_dir);
    let read = file.read();
    let mut known = read.as_ref().map_or_else(|_| StoredLogins::default(), Clone::clone);
    let outcome = read.map(|logins| StoredOutcome { logins, put: None, undo: None });
    // Nobody listens once the agent ends.
    let _ = reports.send(StoredReport { outcome, asked: None });
    for (change, asked) in changes {
        let is_wanted = || asked.as_ref().is_none_or(|asked| !asked.is_closed());
        if !is_wanted() {
            continue;
        }
        let outcome = file.change(&known, change, &is_wanted);
        match &outcome {
            Ok(outcome) => known = outcome.logins.clone(),
            Err(error) => tracing::warn!("{} is not changed: {error}", file.path().display()),
        }
        let _ = reports.send(StoredReport { outcome, asked });
    }
}
