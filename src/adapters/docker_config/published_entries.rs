//! Our entries in the docker configuration, remembered across restarts of agent and container.
//!
//! They are in `published.json` in the state directory, which contains keys and short fingerprints,
//! but no secret.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::adapters::state_file::StateFile;
use crate::domain::docker_config::PublishedEntries;

const NAME: &str = "published.json";
const LIMIT: u64 = 16 << 20;

/// Our entries in one configuration file.
#[derive(Debug)]
pub(super) struct Published {
    record: StateFile,
    config: PathBuf,
    ours: PublishedEntries,
    /// Whether the last attempt to save failed. A full disk is tried every second, and reported once.
    is_unsaved: bool,
}

impl Published {
    /// Loads the record for `config` from `state_dir`. An unreadable record counts as empty:
    /// entries that are still wanted are then recognized in the configuration itself.
    pub(super) fn open(state_dir: &Path, config: &Path) -> Self {
        let record = StateFile::new(state_dir, NAME, LIMIT);
        record.sweep();
        let ours = load(&record).remove(config).unwrap_or_default();
        Self { record, config: config.to_owned(), ours, is_unsaved: false }
    }

    pub(super) fn ours(&self) -> &PublishedEntries {
        &self.ours
    }

    /// Records entries before they are written, so that they are recognized even if this process is
    /// killed in between.
    pub(super) fn announce(&mut self, ours: &PublishedEntries) {
        let either = self.ours.clone().or(ours);
        self.set(either);
    }

    /// Records our current entries.
    pub(super) fn set(&mut self, ours: PublishedEntries) {
        let before = std::mem::replace(&mut self.ours, ours);
        if before == PublishedEntries::default() && self.ours == before {
            return;
        }
        let saved = self.save(&before);
        let was_unsaved = std::mem::replace(&mut self.is_unsaved, saved.is_err());
        if let (Err(error), false) = (saved, was_unsaved) {
            let record = self.record.path().display();
            tracing::warn!("{record} cannot be written, so a new agent will not know: {error}");
        }
    }

    /// Updates the record of this file only with our changes since `before`: another agent that
    /// shares the home directory has entries of its own there, and may have treated ours as its own
    /// leftovers.
    fn save(&self, before: &PublishedEntries) -> io::Result<()> {
        let _lock = self.record.lock()?;
        let old = load(&self.record);
        let mut all = old.clone();
        let entries = all.entry(self.config.clone()).or_default();
        *entries = entries.clone().without(before).or(&self.ours);
        all.retain(|_, ours| *ours != PublishedEntries::default());
        if all == old {
            return Ok(());
        }
        self.record.replace(&serde_json::to_vec(&all)?, &|| true)
    }
}

/// The configuration files in the record.
pub(super) fn recorded(state_dir: &Path) -> Vec<PathBuf> {
    load(&StateFile::new(state_dir, NAME, LIMIT)).into_keys().collect()
}

fn load(record: &StateFile) -> BTreeMap<PathBuf, PublishedEntries> {
    let text = record.read().ok().flatten().unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}
