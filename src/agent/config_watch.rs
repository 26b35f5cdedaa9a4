//! Watches the configuration files while the agent runs. A change makes the agent read them anew; an
//! error in one appears in `status` and changes nothing else.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::SigSet;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::adapters::config::{self, Config, ConfigError, Loaded};
use crate::adapters::file_watcher::Watcher;
use crate::adapters::paths::Paths;
use crate::domain::credentials::login::LastVerdict;
use crate::domain::reasons::SourceReason;
use crate::domain::reasons::problem::Problem;
use crate::domain::registry_protocol::verdict::Outcome;
use crate::wire::handoff::SavedState;

/// How long a first agent waits for the files.
const START_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an agent waits that has the configuration of the previous one.
const RESTART_TIMEOUT: Duration = Duration::from_millis(500);

/// Watches the configuration files.
pub struct ConfigWatch {
    files: [PathBuf; 2],
    watcher: Watcher,
    loading: Option<JoinHandle<Result<Loaded, ConfigError>>>,
    problem: Option<Problem>,
    /// The configuration in use.
    current: Config,
    is_outdated: bool,
}

impl ConfigWatch {
    /// Loads the configuration, or reuses that of the previous agent if a file is malformed or its
    /// file system does not respond.
    pub fn load(paths: &Paths, saved: &mut SavedState) -> (Config, Self) {
        let files = paths.config_files();
        let last: Option<Config> =
            saved.config.take().and_then(|config| serde_json::from_value(config).ok());
        let timeout = if last.is_some() { RESTART_TIMEOUT } else { START_TIMEOUT };
        let (config, problem) = match load_within(timeout, files.clone()) {
            Some(Ok(Loaded { config, ignored })) => (Some(config), ignored.map(problem)),
            Some(Err(error)) => (None, Some(problem(invalid(&error)))),
            None => (None, Some(problem(hanging(&files[1])))),
        };
        let is_changed = config.is_some() && last.is_some() && config != last;
        let current = config.or(last).unwrap_or_default();
        if is_changed {
            forget_unverified(saved);
        }
        let watch = Self {
            files,
            watcher: Watcher::default(),
            loading: None,
            problem,
            current: current.clone(),
            is_outdated: false,
        };
        (current, watch)
    }

    /// Whether the files hold another configuration than the one in use.
    pub fn is_outdated(&self) -> bool {
        self.is_outdated
    }

    /// What is wrong with one of the files.
    pub fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Resolves when [`ConfigWatch::problem`] or [`ConfigWatch::is_outdated`] may have changed.
    pub async fn changed(&mut self) {
        self.watcher.set_paths(self.files.clone().into());
        if self.loading.is_none() {
            self.watcher.changed().await;
        }
        let files = self.files.clone();
        let loading =
            self.loading.get_or_insert_with(|| spawn_blocking(move || config::load(&files)));
        if let Ok(loaded) = loading.await {
            self.is_outdated = loaded.as_ref().is_ok_and(|loaded| loaded.config != self.current);
            let reason = loaded.map_or_else(|error| Some(invalid(&error)), |loaded| loaded.ignored);
            self.problem = reason.map(problem);
        }
        self.loading = None;
    }
}

/// Loads the files on a thread of their own. `None` if that takes longer than `timeout` because their
/// file system does not respond, or if no thread can be started.
pub fn load_within(timeout: Duration, files: [PathBuf; 2]) -> Option<Result<Loaded, ConfigError>> {
    let (loaded, result) = mpsc::channel();
    let load = move || {
        // Signals are for the thread that waits for them.
        let _ = SigSet::all().thread_block();
        // The receiver gives up after `timeout`.
        let _ = loaded.send(config::load(&files));
    };
    thread::Builder::new().spawn(load).ok()?;
    result.recv_timeout(timeout).ok()
}

/// Forgets why logins were not verified: the configuration may allow it now.
fn forget_unverified(saved: &mut SavedState) {
    for login in saved.logins.values_mut() {
        if login.last_verdict == LastVerdict::Judged(Outcome::Unverified) {
            (login.last_verdict, login.reason) = (LastVerdict::Pending, None);
        }
    }
}

fn hanging(path: &Path) -> SourceReason {
    SourceReason::Hanging { path: path.display().to_string() }
}

fn invalid(error: &ConfigError) -> SourceReason {
    let path = error.path().display().to_string();
    SourceReason::Configuration { path, fault: error.to_string() }
}

fn problem(reason: SourceReason) -> Problem {
    let name = reason.path().to_owned();
    Problem { family: None, name, source: None, server: None, reason: reason.into() }
}
