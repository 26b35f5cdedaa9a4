//! What `docker login` stored: the one secret that touches a disk, because a user asked for that.
//!
//! The file is `logins.json` in the state directory, mode 0600.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::domain::credentials::secret::Secret;
use crate::domain::servers::server::Server;
use crate::wire::exposed_secret::ExposedSecret;

/// How the names of temporary files begin: of this file, and of the memory of what was published.
pub(super) const TEMP_PREFIXES: [&str; 2] = [".logins-", ".published-"];

/// A login that the user made.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredLogin {
    /// The user name; `<token>` for an identity token.
    pub username: String,
    /// The password or token.
    pub secret: ExposedSecret,
    /// The codespace it was made in, if it was made in one.
    pub codespace: Option<String>,
}

/// The stored logins, by canonical server.
#[derive(Default)]
pub struct StoredLogins {
    path: PathBuf,
    logins: BTreeMap<String, StoredLogin>,
}

impl StoredLogins {
    /// Reads the file in `state_dir`; one that is not there holds nothing. A login that was made in
    /// another codespace than `codespace` is dropped: a prebuilt image must not carry it on.
    pub fn open(state_dir: &Path, codespace: Option<&str>) -> io::Result<Self> {
        let path = state_dir.join("logins.json");
        let mut logins: BTreeMap<String, StoredLogin> = match read(&path)? {
            Some(text) => serde_json::from_slice(&text).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                io::Error::other(format!("not what the agent wrote, line {line} column {column}"))
            })?,
            None => BTreeMap::new(),
        };
        logins = logins.into_iter().map(|(server, login)| (canonical(&server), login)).collect();
        let before = logins.len();
        logins.retain(|_, login| codespace.is_none() || login.codespace.as_deref() == codespace);
        let stored = Self { path, logins };
        if stored.logins.len() != before {
            stored.write()?;
        }
        Ok(stored)
    }

    /// An empty set that will be written to `state_dir`, in place of one that cannot be read.
    pub fn empty(state_dir: &Path) -> Self {
        Self { path: state_dir.join("logins.json"), logins: BTreeMap::new() }
    }

    /// Every login with its server.
    pub fn iter(&self) -> impl Iterator<Item = (Server, &StoredLogin)> {
        self.logins.iter().filter_map(|(name, login)| Some((Server::parse(name).ok()?.0, login)))
    }

    /// Keeps `login` for `server`; when it cannot be written it is not kept.
    pub fn put(&mut self, server: &str, login: StoredLogin) -> io::Result<()> {
        let server = canonical(server);
        let previous = self.logins.insert(server.clone(), login);
        self.write().inspect_err(|_| {
            match previous {
                Some(previous) => self.logins.insert(server, previous),
                None => self.logins.remove(&server),
            };
        })
    }

    /// Drops the login for `server`; whether there was one.
    pub fn remove(&mut self, server: &str) -> io::Result<bool> {
        if self.logins.remove(&canonical(server)).is_none() {
            return Ok(false);
        }
        self.write()?;
        Ok(true)
    }

    fn write(&self) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let text = Zeroizing::new(serde_json::to_vec(&self.logins)?);
        let mut file = temporary(TEMP_PREFIXES[0], dir)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

/// The name under which a login is found again, whatever is written in the file.
fn canonical(server: &str) -> String {
    Server::parse(server).map_or_else(|_| server.to_owned(), |(server, _)| server.name().to_owned())
}

/// Reads the file if it is ours and nobody else's.
fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let opened =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    if !found.is_file() || found.uid() != Uid::effective().as_raw() {
        return Err(io::Error::other("it is not a file of the agent's user"));
    }
    let mut text = Zeroizing::new(Vec::new());
    file.take(16 * 1024 * 1024).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// A temporary file in `dir`, 0600 from the start, locked until it has its name or is dropped.
pub(super) fn temporary(prefix: &str, dir: &Path) -> io::Result<NamedTempFile> {
    let file = NamedTempFile::with_prefix_in(prefix, dir)?;
    file.as_file().lock()?;
    Ok(file)
}

/// Removes temporary files that a killed agent left in `state_dir`. Those of a living one, in another
/// container with the same home, are locked and stay.
pub fn sweep(state_dir: &Path) {
    let Ok(entries) = fs::read_dir(state_dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !TEMP_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(entry.path());
        if opened.is_ok_and(|file| file.try_lock().is_ok()) {
            // What cannot be removed is found again next time.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A stored login as a client sent it.
pub fn login(username: String, secret: Secret, codespace: Option<String>) -> StoredLogin {
    StoredLogin { username, secret: ExposedSecret(secret), codespace }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_agent_left_is_swept_and_what_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".logins-dead"), "").unwrap();
        fs::write(dir.path().join(".published-dead"), "").unwrap();
        fs::write(dir.path().join("agent.log"), "").unwrap();
        let living = temporary(TEMP_PREFIXES[1], dir.path()).unwrap();
        sweep(dir.path());
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        left.sort();
        assert_eq!(left, [living.path().to_owned(), dir.path().join("agent.log")]);
    }
}
