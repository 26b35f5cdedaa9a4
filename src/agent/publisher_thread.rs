//! The thread that writes the docker configuration, follows it, and looks for what keeps clients
//! from reading it.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::adapters::client_obstacles::{self, ClientEnvironment};
use crate::adapters::clock::Clock;
use crate::adapters::config::Config;
use crate::adapters::docker_config::DockerConfig;
use crate::adapters::file_watcher::Watcher;
use crate::adapters::paths::{NO_HOME_CONFIG, Paths};
use crate::adapters::pushed_record;
use crate::domain::client_files::WantedClientFiles;
use crate::domain::declarations::push::PushedLogin;
use crate::domain::docker_config::Wanted;
use crate::domain::reasons::PublishReason;
use crate::domain::servers::server::Server;

/// The minimum time between two repairs of entries that other programs removed.
const REPAIR_INTERVAL: Duration = Duration::from_secs(1);

/// What a docker configuration should hold.
#[derive(Clone, Default)]
pub(super) struct Publication {
    /// Numbers the publications; 0 means none yet.
    pub(super) number: u64,
    /// The path of the docker configuration.
    pub(super) file: PathBuf,
    /// The entries it should contain.
    pub(super) wanted: Wanted,
    /// The registries that clients should find in it.
    pub(super) servers: Vec<Server>,
    /// What package clients should find in their files.
    pub(super) clients: WantedClientFiles,
    /// What `sync` declared; `None` if that is noted already.
    pub(super) pushed: Option<Vec<PushedLogin>>,
}

/// What the thread has done and found so far.
#[derive(Default)]
pub(super) struct PublishReport {
    /// The number of the last publication that was attempted.
    pub(super) number: u64,
    /// The path of the docker configuration.
    pub(super) file: PathBuf,
    /// Why the file does not contain what it should.
    pub(super) faults: Vec<PublishReason>,
    /// Why clients may not read the file.
    pub(super) obstacles: Vec<PublishReason>,
    /// When the current attempt started; `None` while the thread is idle.
    pub(super) working_since: Option<Instant>,
}

/// Something that the thread did. The controller records it as an event once the view shows what it
/// changed.
pub(super) struct PublishEvent {
    /// When it happened.
    pub(super) at: Timestamp,
    /// The kind of event.
    pub(super) event: &'static str,
    /// The configuration.
    pub(super) subject: String,
    /// The whole sentence.
    pub(super) detail: String,
}

/// Starts the thread. It ends when the sender of `publications` is dropped.
pub(super) fn spawn(
    config: &Config,
    paths: &Paths,
    clock: Clock,
    events: mpsc::UnboundedSender<PublishEvent>,
    mut publications: watch::Receiver<Publication>,
) -> io::Result<watch::Receiver<PublishReport>> {
    let (report, reports) = watch::channel(PublishReport::default());
    let (to_mounts, paths) = (config.publish_to_mounts, paths.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async move {
        let Ok(()) = publications.changed().await else { return };
        let newest = publications.borrow_and_update().clone();
        let mut thread = PublisherThread {
            file: DockerConfig::new(&newest.file, to_mounts, &paths.state_dir()),
            newest,
            to_mounts,
            paths,
            clock,
            events,
            report,
            watcher: Watcher::default(),
            noted: None,
            failures: 0,
            written_at: None,
            retry_at: None,
        };
        thread.write();
        thread.run(publications).await;
    };
    thread::Builder::new().name("publisher".to_owned()).spawn(move || runtime.block_on(work))?;
    Ok(reports)
}

struct PublisherThread {
    newest: Publication,
    file: DockerConfig,
    to_mounts: bool,
    paths: Paths,
    clock: Clock,
    events: mpsc::UnboundedSender<PublishEvent>,
    report: watch::Sender<PublishReport>,
    watcher: Watcher,
    /// What was noted of `sync`.
    noted: Option<Vec<PushedLogin>>,
    /// The number of failed attempts in a row.
    failures: u32,
    written_at: Option<Instant>,
    retry_at: Option<Instant>,
}

impl PublisherThread {
    async fn run(&mut self, mut publications: watch::Receiver<Publication>) {
        loop {
            let retry_at = self.retry_at;
            tokio::select! {
                biased;
                changed = publications.changed() => {
                    let Ok(()) = changed else { return };
                    let newest = publications.borrow_and_update().clone();
                    self.take(newest);
                    self.write();
                }
                () = self.watcher.changed() => self.repair(),
                () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => {
                    self.write();
                }
            }
        }
    }

    fn take(&mut self, newest: Publication) {
        if newest.file != self.file.path() {
            let state_dir = self.paths.state_dir();
            self.file = DockerConfig::new(&newest.file, self.to_mounts, &state_dir);
        }
        self.newest = newest;
    }

    /// Restores entries that other programs removed, at most once per [`REPAIR_INTERVAL`].
    fn repair(&mut self) {
        match self.written_at.map(|at| at + REPAIR_INTERVAL) {
            Some(earliest) if Instant::now() < earliest => self.retry_at = Some(earliest),
            _ => self.write(),
        }
    }

    fn write(&mut self) {
        self.report.send_modify(|report| report.working_since = Some(Instant::now()));
        if let Some(pushed) = &self.newest.pushed
            && self.noted.as_ref() != Some(pushed)
        {
            pushed_record::write(&self.paths, pushed);
            self.noted = Some(pushed.clone());
        }
        let published = self.file.publish(&self.newest.wanted);
        let subject = self.newest.file.display().to_string();
        self.retry_at = None;
        let faults = match published {
            Ok(outcome) => {
                self.failures = 0;
                if outcome.changed {
                    self.written_at = Some(Instant::now());
                    self.record("published", &subject, self.describe(&subject));
                }
                for key in &outcome.repaired {
                    let detail = format!(
                        "{key} was put back into {subject}: another program had removed it"
                    );
                    self.record("repaired", &subject, detail);
                }
                outcome.conflicts
            }
            Err(fault) => {
                let fault = self.with_cause(fault);
                if !self.report.borrow().faults.contains(&fault) {
                    self.record("publish-failed", &subject, fault.to_string());
                }
                self.retry_at = Some(Instant::now() + retry_after(&fault, self.failures));
                self.failures += 1;
                vec![fault]
            }
        };
        let obstacles = self.find_obstacles();
        self.report.send_replace(PublishReport {
            number: self.newest.number,
            file: self.newest.file.clone(),
            faults,
            obstacles,
            working_since: None,
        });
    }

    /// Names the missing home directory if that is why the file cannot be written.
    fn with_cause(&self, fault: PublishReason) -> PublishReason {
        match fault {
            PublishReason::Unwritable { path, .. }
                if self.paths.has_no_home() && path == NO_HOME_CONFIG =>
            {
                PublishReason::NoHome { path, uid: self.paths.uid_outside }
            }
            fault => fault,
        }
    }

    fn record(&self, event: &'static str, subject: &str, detail: String) {
        let (at, subject) = (self.clock.now(), subject.to_owned());
        // The agent may be ending.
        let _ = self.events.send(PublishEvent { at, event, subject, detail });
    }

    /// Looks for anything that keeps clients from reading what was written, and watches those
    /// files.
    fn find_obstacles(&mut self) -> Vec<PublishReason> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let environment = ClientEnvironment {
            variable: &variable,
            home: &self.paths.home,
            uid: self.paths.uid_outside,
            docker_config: self.file.path(),
        };
        let mut followed: BTreeSet<PathBuf> = self.file.paths_to_watch().into_iter().collect();
        followed.extend(client_obstacles::auth_files(&environment));
        let mut obstacles = client_obstacles::obstacles(&environment, &self.newest.servers);
        if self.newest.wanted.helpers.is_empty() {
            // In `auths` mode nobody needs it.
            obstacles.retain(|it| !matches!(it, PublishReason::HelperMissing { .. }));
        }
        if obstacles.iter().any(|it| matches!(it, PublishReason::HelperMissing { .. })) {
            followed.extend(environment.helper_paths());
        }
        self.watcher.set_paths(followed);
        obstacles
    }

    fn describe(&self, path: &str) -> String {
        let wanted = &self.newest.wanted;
        let keys: Vec<&str> =
            wanted.helpers.iter().chain(wanted.auths.keys()).map(String::as_str).collect();
        if keys.is_empty() {
            format!("{path} no longer contains entries of registry-agent")
        } else {
            format!("{path} now contains {}", keys.join(", "))
        }
    }
}

/// Other writers finish within a moment, and no event reports that space or permission is available
/// again, so these are retried. A fault in the file itself is retried when the file changes.
fn retry_after(fault: &PublishReason, failures: u32) -> Duration {
    let longest = match fault {
        PublishReason::Busy { .. } | PublishReason::NoRoom { .. } => REPAIR_INTERVAL,
        PublishReason::Unreadable { .. } | PublishReason::Unwritable { .. } => {
            Duration::from_mins(1)
        }
        _ => return Duration::from_mins(5),
    };
    REPAIR_INTERVAL.saturating_mul(1 << failures.min(10)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_tried_again_every_second_however_long_it_was_full() {
        let fault = PublishReason::NoRoom { path: String::new(), fault: String::new() };
        for failures in [0, 1, 5, 1000] {
            assert_eq!(retry_after(&fault, failures), REPAIR_INTERVAL);
        }
    }
}
