//! Watches the configuration files while the agent runs: an error in one appears in `status` and
//! changes nothing else.

use std::path::PathBuf;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::adapters::config::{self, Config, ConfigError};
use crate::adapters::file_watcher::Watcher;
use crate::adapters::paths::Paths;
use crate::domain::reasons::SourceReason;
use crate::domain::reasons::problem::Problem;
use crate::wire::handoff::SavedState;

/// Watches the configuration files.
pub struct ConfigWatch {
    files: [PathBuf; 2],
    watcher: Watcher,
    loading: Option<JoinHandle<Result<Config, ConfigError>>>,
    problem: Option<Problem>,
}

impl ConfigWatch {
    /// Loads the configuration, or reuses that of the previous agent if a file is malformed.
    pub fn load(paths: &Paths, last: &mut SavedState) -> (Config, Self) {
        let files = paths.config_files();
        let mut watch = Self { files, watcher: Watcher::default(), loading: None, problem: None };
        let last = last.config.take().and_then(|config| serde_json::from_value(config).ok());
        let loaded = config::load(&watch.files);
        watch.problem = loaded.as_ref().err().map(problem);
        (loaded.unwrap_or_else(|_| last.unwrap_or_default()), watch)
    }

    /// What is wrong with one of the files.
    pub fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Resolves when [`ConfigWatch::problem`] may have changed.
    pub async fn changed(&mut self) {
        self.watcher.set_paths(self.files.clone().into());
        if self.loading.is_none() {
            self.watcher.changed().await;
        }
        let files = self.files.clone();
        let loading =
            self.loading.get_or_insert_with(|| spawn_blocking(move || config::load(&files)));
        if let Ok(loaded) = loading.await {
            self.problem = loaded.err().as_ref().map(problem);
        }
        self.loading = None;
    }
}

fn problem(error: &ConfigError) -> Problem {
    let path = error.path().display().to_string();
    let reason = SourceReason::Configuration { path: path.clone(), fault: error.to_string() };
    Problem { name: path, source: None, reason: reason.into() }
}
