//! What is ours in the docker configuration, remembered across the death of agent and container.
//!
//! The file is `published.json` in the state directory. It holds keys and short marks, no secret.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::adapters::stored_logins;
use crate::domain::docker_config::PublishedEntries;

/// What is ours in one configuration file.
#[derive(Debug)]
pub(super) struct Published {
    record: PathBuf,
    config: PathBuf,
    ours: PublishedEntries,
}

impl Published {
    /// What the record in `state_dir` says of `config`. A record that cannot be read says nothing:
    /// what is wanted is then found again in the configuration itself.
    pub(super) fn open(state_dir: &Path, config: &Path) -> Self {
        let record = state_dir.join("published.json");
        let ours = load(&record).remove(config).unwrap_or_default();
        Self { record, config: config.to_owned(), ours }
    }

    pub(super) fn ours(&self) -> &PublishedEntries {
        &self.ours
    }

    /// Notes what may be ours from now on, before it is written: who is killed in between still knows
    /// its own.
    pub(super) fn announce(&mut self, ours: &PublishedEntries) {
        let either = self.ours.clone().or(ours);
        self.set(either);
    }

    /// Notes what is ours.
    pub(super) fn set(&mut self, ours: PublishedEntries) {
        if self.ours == ours {
            return;
        }
        self.ours = ours;
        if let Err(error) = self.save() {
            let record = self.record.display();
            tracing::warn!("{record} cannot be written, so a new agent will not know: {error}");
        }
    }

    /// Writes the record anew, with what others may have put there of other files.
    fn save(&self) -> io::Result<()> {
        let mut all = load(&self.record);
        all.insert(self.config.clone(), self.ours.clone());
        all.retain(|_, ours| *ours != PublishedEntries::default());
        let directory = self.record.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut file = stored_logins::temporary(stored_logins::TEMP_PREFIXES[1], directory)?;
        file.write_all(&serde_json::to_vec(&all)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.record)?;
        Ok(())
    }
}

fn load(record: &Path) -> BTreeMap<PathBuf, PublishedEntries> {
    let text = fs::read(record).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}
