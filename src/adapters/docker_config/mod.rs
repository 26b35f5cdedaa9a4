//! Reads and writes the docker configuration file.

mod published_entries;

use std::path::{Path, PathBuf};

use self::published_entries::Published;
use super::user_file::UserFile;
use crate::domain::client_files::NewText;
use crate::domain::docker_config::{Edit, PublishedEntries, Wanted, edit, keys_with_our_helper};
use crate::domain::reasons::PublishReason;

pub use super::user_file::read;

/// A user's docker configuration, which may not exist yet, and our entries in it.
#[derive(Debug)]
pub struct DockerConfig {
    file: UserFile,
    published: Published,
}

/// The result of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOutcome {
    /// Whether the file was written.
    pub changed: bool,
    /// Our keys that another program had removed.
    pub repaired: Vec<String>,
    /// Existing entries that block ours and that we must not change.
    pub conflicts: Vec<PublishReason>,
}

/// The configuration files that contain our entries, according to the record in `state_dir`.
pub fn recorded(state_dir: &Path) -> Vec<PathBuf> {
    published_entries::recorded(state_dir)
}

impl DockerConfig {
    /// The configuration at `path`. Unless `to_mounts` is set, it is not written if it or its
    /// directory is a separate mount. `state_dir` holds the record of our entries.
    pub fn new(path: impl Into<PathBuf>, to_mounts: bool, state_dir: &Path) -> Self {
        let file = UserFile::new(path, to_mounts);
        let published = Published::open(state_dir, file.path());
        Self { file, published }
    }

    /// The path, with links not followed.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The paths to watch in order to see every change.
    pub fn paths_to_watch(&self) -> Vec<PathBuf> {
        self.file.paths_to_watch()
    }

    /// Updates our entries in the file to `wanted`. All other bytes stay the same, the file is not
    /// written if nothing changes, and concurrent changes by others are not lost.
    ///
    /// # Errors
    /// If the file cannot be parsed, read or written, or must not be written. The file is unchanged
    /// then.
    pub fn publish(&mut self, wanted: &Wanted) -> Result<PublishOutcome, PublishReason> {
        let before = self.published.ours().clone();
        self.write(wanted, &before).inspect_err(|_| self.published.set(before))
    }

    /// Removes all our entries, also those that the record has lost. Returns whether there were any.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub fn withdraw(&mut self) -> Result<bool, PublishReason> {
        let text = read(self.path())?.unwrap_or_default();
        let helpers = keys_with_our_helper(&text);
        let before = self.published.ours().clone();
        let found = before.clone().or(&PublishedEntries { helpers, ..PublishedEntries::default() });
        let written = self.write(&Wanted::default(), &found);
        Ok(written.inspect_err(|_| self.published.set(before))?.changed)
    }

    fn write(
        &mut self,
        wanted: &Wanted,
        before: &PublishedEntries,
    ) -> Result<PublishOutcome, PublishReason> {
        let shown = self.path().display().to_string();
        let edited = |text: Option<&str>| {
            let mut edited = edit(&shown, text.unwrap_or_default(), wanted, before)?;
            let text = edited.text.take();
            Ok((text.map_or(NewText::Same, |text| NewText::Text(text.into())), edited))
        };
        let published = &mut self.published;
        let (changed, edited) = self.file.update(edited, |edit| published.announce(&edit.ours))?;
        let Edit { repaired, conflicts, ours, .. } = edited;
        self.published.set(ours);
        Ok(PublishOutcome { changed, repaired, conflicts })
    }
}
