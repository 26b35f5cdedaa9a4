//! Writes the docker configuration on a thread of its own, and the files of package clients on
//! another: a file system that hangs blocks only its thread.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::client_file_thread::{self, ClientFilesReport};
use super::events::Events;
use super::publisher_thread::{self, Publication, PublishEvent, PublishReport};
use crate::adapters::clock::Clock;
use crate::adapters::config::{Config, Mode};
use crate::adapters::paths::Paths;
use crate::domain::client_files::WantedClientFiles;
use crate::domain::declarations::push::PushedLogin;
use crate::domain::docker_config::Wanted;
use crate::domain::reasons::PublishReason;
use crate::domain::reasons::problem::Problem;
use crate::domain::servers::server::Server;

/// After this time without a response the docker configuration becomes a problem, and nothing waits
/// for it any longer.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long shutdown waits for a write in progress.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// Passes the newest publication to the thread and tracks the result.
pub struct Publisher {
    mode: Mode,
    paths: Paths,
    publications: watch::Sender<Publication>,
    report: watch::Receiver<PublishReport>,
    client_report: watch::Receiver<ClientFilesReport>,
    events: mpsc::UnboundedReceiver<PublishEvent>,
    /// When the oldest publication without a report was handed over.
    handed_over_at: Instant,
    /// Whether the thread has exceeded the time limit.
    hangs: bool,
    /// The publication of the last report that [`Publisher::changed`] told of.
    reported: u64,
}

impl Publisher {
    /// Starts the thread, which is idle at first.
    pub fn new(config: &Config, paths: &Paths, clock: Clock) -> io::Result<Self> {
        let (publications, newest) = watch::channel(Publication::default());
        let (event_sender, events) = mpsc::unbounded_channel();
        let client_report = client_file_thread::spawn(
            config,
            paths,
            clock.clone(),
            event_sender.clone(),
            newest.clone(),
        )?;
        let report = publisher_thread::spawn(config, paths, clock, event_sender, newest)?;
        Ok(Self {
            mode: config.mode,
            paths: paths.clone(),
            publications,
            report,
            client_report,
            events,
            handed_over_at: Instant::now(),
            hangs: false,
            reported: 0,
        })
    }

    /// How credentials are published.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Publishes `wanted` to the configuration in the directory `docker_config`, a value of
    /// `DOCKER_CONFIG`, and notes what was `pushed`. Returns immediately.
    pub fn publish(
        &mut self,
        docker_config: Option<&str>,
        wanted: Wanted,
        servers: Vec<Server>,
        clients: WantedClientFiles,
        pushed: Option<Vec<PushedLogin>>,
    ) {
        let file = self.paths.docker_config_file(docker_config);
        let is_noted = self.publications.borrow().pushed == pushed;
        if is_noted && self.is_published(&file, &wanted, &servers) && !self.lacks(&clients) {
            return;
        }
        if self.is_up_to_date() {
            self.handed_over_at = Instant::now();
        }
        let number = self.publications.borrow().number + 1;
        let newest = Publication { number, file, wanted, servers, clients, pushed };
        self.publications.send_replace(newest);
    }

    /// Whether the files of package clients should contain something else than `clients`.
    pub fn lacks(&self, clients: &WantedClientFiles) -> bool {
        self.publications.borrow().clients != *clients
    }

    /// Resolves once everything handed over so far is published, or after the time limit.
    pub fn published(&self) -> impl Future<Output = ()> + use<> {
        let (mut report, number) = (self.report.clone(), self.publications.borrow().number);
        let mut client_report = self.client_report.clone();
        let limit = if self.hangs { Duration::ZERO } else { PUBLISH_TIMEOUT };
        async move {
            let both = async {
                let _ = report.wait_for(|report| report.number >= number).await;
                let _ = client_report.wait_for(|report| report.number >= number).await;
            };
            let _ = timeout(limit, both).await;
        }
    }

    /// Resolves when [`Publisher::problems`] may have changed.
    pub async fn changed(&mut self) {
        loop {
            let limit = self.waiting_since().filter(|_| !self.hangs).map(|at| at + PUBLISH_TIMEOUT);
            tokio::select! {
                changed = self.report.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                    let report = self.report.borrow_and_update();
                    let is_working = report.working_since.is_some();
                    // After a failure, the thread may already be trying again.
                    let is_new = std::mem::replace(&mut self.reported, report.number) != report.number;
                    if std::mem::take(&mut self.hangs) || !is_working || is_new {
                        return;
                    }
                }
                Ok(()) = self.client_report.changed() => return,
                () = sleep_until(limit.unwrap_or_else(Instant::now)), if limit.is_some() => {
                    self.hangs = true;
                    return;
                }
            }
        }
    }

    /// Records what the thread did.
    pub fn record_events(&mut self, events: &Events) {
        while let Ok(PublishEvent { at, event, subject, detail }) = self.events.try_recv() {
            events.record(at, event, &subject, detail);
        }
    }

    /// The docker configuration that it writes; `None` before the first publication.
    pub fn file(&self) -> Option<PathBuf> {
        let newest = self.publications.borrow();
        (newest.number > 0).then(|| newest.file.clone())
    }

    /// Why clients may not find the agent's logins.
    pub fn problems(&self) -> Vec<Problem> {
        let problem = |file: &Path, reason: &PublishReason| Problem {
            family: None,
            name: file.display().to_string(),
            source: None,
            server: None,
            reason: reason.clone().into(),
        };
        if self.hangs {
            let file = &self.publications.borrow().file;
            return vec![problem(
                file,
                &PublishReason::Hanging { path: file.display().to_string() },
            )];
        }
        let report = self.report.borrow();
        let found = report.faults.iter().chain(&report.obstacles);
        let found = found.map(|reason| problem(&report.file, reason));
        let clients = self.client_report.borrow();
        let clients = clients.faults.iter().map(|(file, reason)| problem(file, reason));
        found.chain(clients).collect()
    }

    /// Waits for a write in progress, unless it hangs, and records what the thread did.
    pub async fn close(mut self, events: &Events) {
        self.publications = watch::channel(Publication::default()).0;
        let ended = async {
            while self.report.changed().await.is_ok() {}
            while self.client_report.changed().await.is_ok() {}
        };
        let _ = timeout(CLOSE_TIMEOUT, ended).await;
        self.record_events(events);
    }

    /// Whether nothing would change. In `auths` mode results publish too, often what a command just
    /// published. In `helper` mode only changed sources and commands do, and these also repair a file
    /// whose file system reports no changes.
    fn is_published(&self, file: &Path, wanted: &Wanted, servers: &[Server]) -> bool {
        let (newest, report) = (self.publications.borrow(), self.report.borrow());
        self.mode == Mode::Auths
            && (&*newest.file, &newest.wanted, &*newest.servers) == (file, wanted, servers)
            && report.faults.is_empty()
            && report.obstacles.is_empty()
    }

    fn is_up_to_date(&self) -> bool {
        self.report.borrow().number == self.publications.borrow().number
    }

    fn waiting_since(&self) -> Option<Instant> {
        let handed_over_at = (!self.is_up_to_date()).then_some(self.handed_over_at);
        handed_over_at.into_iter().chain(self.report.borrow().working_since).min()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::domain::credentials::credential::Credential;

    fn login(secret: &str) -> Wanted {
        let credential = Credential::plain("user", secret.into());
        let auths = [("ghcr.io".to_owned(), credential)].into();
        Wanted { auths, ..Wanted::default() }
    }

    #[tokio::test]
    async fn a_report_is_noticed_although_the_thread_is_trying_again() {
        let (thread, report) = watch::channel(PublishReport::default());
        let mut publisher = Publisher {
            mode: Mode::Helper,
            paths: Paths::of_this_process(),
            publications: watch::channel(Publication::default()).0,
            report,
            client_report: watch::channel(ClientFilesReport::default()).1,
            events: mpsc::unbounded_channel().1,
            handed_over_at: Instant::now(),
            hangs: false,
            reported: 0,
        };
        thread.send_modify(|report| report.number = 1);
        thread.send_modify(|report| report.working_since = Some(Instant::now()));
        assert_eq!(publisher.changed().now_or_never(), Some(()));
        thread.send_modify(|report| report.working_since = Some(Instant::now()));
        assert_eq!(publisher.changed().now_or_never(), None, "nothing new");
    }

    #[tokio::test]
    async fn the_same_plain_logins_are_published_once_unless_they_are_not_in_place() {
        let home = tempfile::tempdir().unwrap();
        let mut paths = Paths::of_this_process();
        home.path().clone_into(&mut paths.home);
        let config = Config { mode: Mode::Auths, ..Config::default() };
        let mut publisher = Publisher::new(&config, &paths, Clock::system()).unwrap();
        let mut numbers = Vec::new();
        let theirs = r#"{"auths": {"ghcr.io": {"auth": "dTpw"}}}"#;
        std::fs::create_dir(home.path().join("theirs")).unwrap();
        std::fs::write(home.path().join("theirs/config.json"), theirs).unwrap();
        let theirs = home.path().join("theirs").display().to_string();
        for (directory, secret) in [
            (None, "1"),
            (None, "1"),
            (None, "2"),
            (None, "2"),
            (Some(&theirs), "2"),
            (Some(&theirs), "2"),
        ] {
            let (directory, clients) =
                (directory.map(String::as_str), WantedClientFiles::default());
            publisher.publish(directory, login(secret), Vec::new(), clients, None);
            publisher.published().await;
            numbers.push(publisher.publications.borrow().number);
        }
        assert_eq!(numbers, [1, 1, 2, 2, 3, 4]);
    }
}
