//! The thread that writes the files of package clients and follows them.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::publisher_thread::{Publication, PublishEvent};
use crate::adapters::client_files::{ClientFileReport, ClientFiles};
use crate::adapters::clock::Clock;
use crate::adapters::config::Config;
use crate::adapters::file_watcher::Watcher;
use crate::adapters::paths::Paths;
use crate::domain::reasons::PublishReason;

/// The minimum time between two repairs of lines that other programs removed.
const REPAIR_INTERVAL: Duration = Duration::from_secs(1);
/// When a file that could not be written is tried again.
const RETRY_INTERVAL: Duration = Duration::from_mins(1);

/// What the thread has done and found so far.
#[derive(Default)]
pub(super) struct ClientFilesReport {
    /// The number of the last publication that was attempted.
    pub(super) number: u64,
    /// Why a file does not contain what it should.
    pub(super) faults: Vec<(PathBuf, PublishReason)>,
}

/// Starts the thread. It ends when the sender of `publications` is dropped.
pub(super) fn spawn(
    config: &Config,
    paths: &Paths,
    clock: Clock,
    events: mpsc::UnboundedSender<PublishEvent>,
    publications: watch::Receiver<Publication>,
) -> io::Result<watch::Receiver<ClientFilesReport>> {
    let (report, reports) = watch::channel(ClientFilesReport::default());
    // Without a home directory, the files would be those of root.
    let files = (!paths.has_no_home()).then(|| ClientFiles::new(paths, config.publish_to_mounts));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async move {
        let watcher = Watcher::default();
        let mut thread = ClientFileThread { files, clock, events, report, watcher, due: None };
        thread.run(publications).await;
    };
    thread::Builder::new().name("client-files".to_owned()).spawn(move || runtime.block_on(work))?;
    Ok(reports)
}

struct ClientFileThread {
    files: Option<ClientFiles>,
    clock: Clock,
    events: mpsc::UnboundedSender<PublishEvent>,
    report: watch::Sender<ClientFilesReport>,
    watcher: Watcher,
    /// When the files are to be written again.
    due: Option<Instant>,
}

impl ClientFileThread {
    async fn run(&mut self, mut publications: watch::Receiver<Publication>) {
        let mut written_at = None;
        loop {
            let due = self.due;
            tokio::select! {
                biased;
                changed = publications.changed() => {
                    let Ok(()) = changed else { return };
                }
                () = self.watcher.changed() => {
                    let earliest = written_at.map(|at: Instant| at + REPAIR_INTERVAL);
                    if let Some(earliest) = earliest.filter(|earliest| Instant::now() < *earliest) {
                        self.due = Some(earliest);
                        continue;
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            let newest = publications.borrow_and_update().clone();
            if newest.number > 0 && self.write(&newest) {
                written_at = Some(Instant::now());
            }
        }
    }

    /// Writes the files, and returns whether one has changed.
    fn write(&mut self, newest: &Publication) -> bool {
        self.due = None;
        let (mut has_changed, mut faults) = (false, Vec::new());
        let reports = self.files.as_mut().map(|files| files.publish(&newest.clients));
        for ClientFileReport { path, outcome } in reports.into_iter().flatten() {
            match outcome {
                Ok(outcome) => {
                    if outcome.changed {
                        has_changed = true;
                        self.record("published", &path, |path| {
                            format!("{path} was updated for package clients")
                        });
                    }
                    faults.extend(outcome.conflicts.into_iter().map(|it| (path.clone(), it)));
                }
                Err(fault) => {
                    let is_new = !self.report.borrow().faults.iter().any(|(_, it)| *it == fault);
                    if is_new {
                        self.record("publish-failed", &path, |_| fault.to_string());
                    }
                    self.due = Some(Instant::now() + RETRY_INTERVAL);
                    faults.push((path, fault));
                }
            }
        }
        let to_watch = self.files.as_ref().map(ClientFiles::paths_to_watch).unwrap_or_default();
        self.watcher.set_paths(to_watch.into_iter().collect());
        self.report.send_replace(ClientFilesReport { number: newest.number, faults });
        has_changed
    }

    fn record(&self, event: &'static str, path: &Path, detail: impl Fn(&str) -> String) {
        let subject = path.display().to_string();
        let detail = detail(&subject);
        // The agent may be ending.
        let _ = self.events.send(PublishEvent { at: self.clock.now(), event, subject, detail });
    }
}
