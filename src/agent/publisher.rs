//! Keeps the docker configuration pointing at the helper.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use super::events::Events;
use super::source_set::SourceSet;
use crate::adapters::client_obstacles::{self, ClientEnvironment};
use crate::adapters::config::{Config, Mode};
use crate::adapters::docker_config::DockerConfig;
use crate::adapters::file_watcher::Watcher;
use crate::adapters::paths::Paths;
use crate::domain::docker_config::Wanted;
use crate::domain::reasons::PublishReason;
use crate::domain::reasons::problem::Problem;
use crate::domain::servers::server::Server;

/// Entries that others drop are put back at most this often.
const REPAIR_INTERVAL: SignedDuration = SignedDuration::from_secs(1);

/// The one who writes the docker configuration.
pub struct Publisher {
    file: DockerConfig,
    mode: Mode,
    wanted: Wanted,
    servers: Vec<Server>,
    faults: Vec<PublishReason>,
    obstacles: Vec<PublishReason>,
    paths: Paths,
    watch: Watcher,
    written_at: Option<Timestamp>,
    repair_at: Option<Timestamp>,
}

impl Publisher {
    /// A publisher for the configuration that the agent's environment names.
    pub fn new(config: &Config, paths: &Paths, sources: &SourceSet) -> Self {
        let path = paths.docker_config_file(sources.process_variable("DOCKER_CONFIG"));
        Self {
            file: DockerConfig::new(path, config.publish_to_mounts, &paths.state_dir()),
            mode: config.mode,
            wanted: Wanted::default(),
            servers: Vec::new(),
            faults: Vec::new(),
            obstacles: Vec::new(),
            paths: paths.clone(),
            watch: Watcher::default(),
            written_at: None,
            repair_at: None,
        }
    }

    /// What is wanted of the configuration from here on, written if it is not so.
    pub fn publish(&mut self, wanted: Wanted, servers: &[Server], now: Timestamp, events: &Events) {
        self.wanted = wanted;
        self.servers = servers.to_vec();
        self.write(now, events);
    }

    /// How credentials are published.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Resolves when somebody has touched the configuration.
    pub async fn changed(&mut self) {
        self.watch.changed().await;
    }

    /// Puts back what others dropped, now or as soon as that is not too often.
    pub fn repair(&mut self, now: Timestamp, events: &Events) {
        let earliest = self.written_at.and_then(|at| at.checked_add(REPAIR_INTERVAL).ok());
        match earliest {
            // A clock that was set back must not keep anything from being repaired.
            Some(earliest) if now < earliest && self.written_at.is_some_and(|at| at <= now) => {
                self.repair_at = Some(earliest);
            }
            _ => self.write(now, events),
        }
    }

    /// When a repair is due that was put off.
    pub fn due(&self) -> Option<Timestamp> {
        self.repair_at
    }

    /// Makes up for a repair that was put off.
    pub fn run_due(&mut self, now: Timestamp, events: &Events) {
        if self.repair_at.is_some_and(|at| at <= now) {
            self.write(now, events);
        }
    }

    /// What keeps clients from finding what the agent holds.
    pub fn problems(&self) -> Vec<Problem> {
        let name = self.file.path().display().to_string();
        let problem = |fault: &PublishReason| Problem {
            name: name.clone(),
            source: None,
            reason: fault.clone().into(),
        };
        self.faults.iter().chain(&self.obstacles).map(problem).collect()
    }

    fn write(&mut self, now: Timestamp, events: &Events) {
        self.repair_at = None;
        let subject = self.file.path().display().to_string();
        match self.file.publish(&self.wanted) {
            Ok(outcome) => {
                if outcome.changed {
                    self.written_at = Some(now);
                    events.record(now, "published", &subject, self.describe());
                }
                for key in &outcome.repaired {
                    let detail = format!("{key}, which another program had dropped");
                    events.record(now, "repaired", &subject, detail);
                }
                self.faults = outcome.conflicts;
            }
            Err(fault) => {
                if !self.faults.contains(&fault) {
                    events.record(now, "publish-failed", &subject, fault.to_string());
                }
                self.repair_at = now.checked_add(retry_after(&fault)).ok();
                self.faults = vec![fault];
            }
        }
        self.find_obstacles();
    }

    /// Looks for what would keep clients from reading what was written, and follows all of it.
    fn find_obstacles(&mut self) {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let environment = ClientEnvironment {
            variable: &variable,
            home: &self.paths.home,
            uid: self.paths.uid,
            docker_config: self.file.path(),
        };
        self.obstacles = client_obstacles::obstacles(&environment, &self.servers);
        let mut followed: BTreeSet<PathBuf> = self.file.paths_to_watch().into_iter().collect();
        followed.extend(client_obstacles::auth_files(&environment));
        self.watch.set_paths(followed);
    }

    fn describe(&self) -> String {
        let keys: Vec<&str> = self
            .wanted
            .helpers
            .iter()
            .chain(self.wanted.auths.keys())
            .map(String::as_str)
            .collect();
        if keys.is_empty() { "nothing of ours is left".to_owned() } else { keys.join(", ") }
    }
}

/// Others save in a moment; room, rights and a broken file take a person.
fn retry_after(fault: &PublishReason) -> SignedDuration {
    match fault {
        PublishReason::Busy { .. } => REPAIR_INTERVAL,
        _ => SignedDuration::from_mins(5),
    }
}
