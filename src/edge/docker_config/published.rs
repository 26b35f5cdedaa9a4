//! What is ours in the docker configuration, remembered across the death of agent and container.
//!
//! The file is `published.json` in the state directory. It holds keys and short marks, no secret.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::domain::docker_config::Ours;
use crate::edge::stored;

/// What is ours in one configuration file.
#[derive(Debug)]
pub(super) struct Published {
    memory: PathBuf,
    config: PathBuf,
    ours: Ours,
}

impl Published {
    /// What the memory in `state_dir` says of `config`. A memory that cannot be read says nothing:
    /// what is wanted is then found again in the configuration itself.
    pub(super) fn open(state_dir: &Path, config: &Path) -> Self {
        let memory = state_dir.join("published.json");
        let ours = load(&memory).remove(config).unwrap_or_default();
        Self { memory, config: config.to_owned(), ours }
    }

    pub(super) fn ours(&self) -> &Ours {
        &self.ours
    }

    /// Notes what may be ours from now on, before it is written: who is killed in between still knows
    /// its own.
    pub(super) fn announce(&mut self, ours: &Ours) {
        let either = self.ours.clone().or(ours);
        self.set(either);
    }

    /// Notes what is ours.
    pub(super) fn set(&mut self, ours: Ours) {
        if self.ours == ours {
            return;
        }
        self.ours = ours;
        if let Err(error) = self.save() {
            let memory = self.memory.display();
            tracing::warn!("{memory} cannot be written, so a new agent will not know: {error}");
        }
    }

    /// Writes the memory anew, with what others may have put there of other files.
    fn save(&self) -> io::Result<()> {
        let mut all = load(&self.memory);
        all.insert(self.config.clone(), self.ours.clone());
        all.retain(|_, ours| *ours != Ours::default());
        let directory = self.memory.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut file = stored::temporary(stored::TEMPORARY[1], directory)?;
        file.write_all(&serde_json::to_vec(&all)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.memory)?;
        Ok(())
    }
}

fn load(memory: &Path) -> BTreeMap<PathBuf, Ours> {
    let text = fs::read(memory).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}
