//! Reads and writes the files in which package clients look for logins: `~/.npmrc` for pnpm, and
//! `keyringrc.cfg` for poetry and twine.

mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use self::programs::Programs;
use super::docker_config::PublishOutcome;
use super::paths::Paths;
use super::user_file::UserFile;
use crate::domain::client_files::WantedClientFiles;
use crate::domain::client_files::{keyringrc, npmrc};
use crate::domain::reasons::PublishReason;

/// The files of one user, which may not exist yet, and our lines in them.
#[derive(Debug)]
pub struct ClientFiles {
    npmrc: UserFile,
    keyringrc: UserFile,
    programs: Programs,
    /// What they contain since the last call. Before the first one, lines of ours are those of an earlier
    /// agent. Later ones may be those of an agent that shares the home directory.
    published: Option<WantedClientFiles>,
}

/// What became of one file.
pub struct ClientFileReport {
    /// The path of the file.
    pub path: PathBuf,
    /// What it contains now, or the reason why it could not be written.
    pub outcome: Result<PublishOutcome, PublishReason>,
}

impl ClientFiles {
    /// The files in the user's home. Unless `to_mounts` is set, a file is not written if it or its directory is
    /// a separate mount.
    pub fn new(paths: &Paths, to_mounts: bool) -> Self {
        Self {
            npmrc: UserFile::new(paths.npmrc(), to_mounts),
            keyringrc: UserFile::new(paths.keyringrc(), to_mounts),
            programs: Programs::new(paths),
            published: None,
        }
    }

    /// The paths to watch in order to see every change.
    pub fn paths_to_watch(&self) -> Vec<PathBuf> {
        [&self.npmrc, &self.keyringrc].into_iter().flat_map(UserFile::paths_to_watch).collect()
    }

    /// Updates our lines to `wanted`. All other bytes stay the same, and a file is not written if nothing
    /// changes.
    pub fn publish(&mut self, wanted: &WantedClientFiles) -> [ClientFileReport; 2] {
        let before = self.published.clone();
        let npmrc = self.publish_npmrc(&wanted.npm, before.as_ref().map(|before| &before.npm));
        let had_keyring = before.as_ref().is_none_or(|before| before.keyring);
        let keyringrc = self.publish_keyringrc(wanted.keyring, had_keyring);
        if npmrc.is_ok() && keyringrc.is_ok() {
            self.published = Some(wanted.clone());
        }
        let report = |file: &UserFile, outcome: Result<_, _>, clients: &str| ClientFileReport {
            path: file.path().to_owned(),
            outcome: outcome.map_err(|cause| PublishReason::ClientFile {
                clients: clients.to_owned(),
                cause: Box::new(cause),
            }),
        };
        [report(&self.npmrc, npmrc, "pnpm"), report(&self.keyringrc, keyringrc, "poetry and twine")]
    }

    fn publish_npmrc(
        &self,
        registries: &BTreeMap<String, String>,
        before: Option<&BTreeMap<String, String>>,
    ) -> Result<PublishOutcome, PublishReason> {
        let mut wanted = BTreeMap::new();
        for (key, url) in registries {
            let Some(program) = self.programs.token_program(url) else {
                tracing::warn!(
                    "pnpm gets no login for {url}: it cannot run a program of that path"
                );
                continue;
            };
            self.programs
                .write_token_program(&program, url)
                .map_err(|error| unwritable(Path::new(&program), &error))?;
            wanted.insert(key.clone(), program);
        }
        let known: BTreeSet<String> =
            before.into_iter().flatten().map(|(key, _)| key.clone()).collect();
        let is_obsolete = |key: &str| before.is_none() || known.contains(key);
        let ours = |program: &str| self.programs.is_token_program(program);
        let edit = |text: Option<&str>| {
            let edit = npmrc::edit(text, &wanted, ours, is_obsolete, &known);
            Ok((edit.text, (edit.repaired, edit.conflicts)))
        };
        let (changed, (repaired, conflicts)) = self.npmrc.update(edit, |_| ())?;
        let path = self.npmrc.path().display().to_string();
        let conflict = |setting| PublishReason::OtherPackageLogin { path: path.clone(), setting };
        let conflicts = conflicts.into_iter().map(conflict).collect();
        Ok(PublishOutcome { changed, repaired, conflicts })
    }

    fn publish_keyringrc(&self, wanted: bool, had: bool) -> Result<PublishOutcome, PublishReason> {
        let mut module_dir = None;
        if wanted {
            module_dir = self.programs.module_dir();
            self.programs
                .write_module()
                .map_err(|error| unwritable(self.keyringrc.path(), &error))?;
        } else if !had {
            return Ok(PublishOutcome {
                changed: false,
                repaired: Vec::new(),
                conflicts: Vec::new(),
            });
        }
        let edit = |text: Option<&str>| {
            let edit = keyringrc::edit(text, module_dir.as_deref());
            Ok((edit.text, edit.conflict))
        };
        let (changed, conflict) = self.keyringrc.update(edit, |_| ())?;
        let path = self.keyringrc.path().display().to_string();
        let conflict = conflict.map(|setting| PublishReason::OtherKeyring { path, setting });
        Ok(PublishOutcome {
            changed,
            repaired: Vec::new(),
            conflicts: conflict.into_iter().collect(),
        })
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> PublishReason {
    PublishReason::Unwritable {
        path: path.display().to_string(),
        fault: error.to_string(),
        remedy: None,
    }
}
