//! What `docker login` stored: the one secret that touches a disk, because a user asked for that.
//!
//! The file is `logins.json` in the state directory, mode 0600.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::state_file::StateFile;
use crate::domain::credentials::secret::Secret;
use crate::domain::credentials::stated_expiry;
use crate::domain::servers::server::Server;
use crate::wire::exposed_secret::ExposedSecret;

/// The largest file: hundreds of tokens.
const LIMIT: u64 = 2 << 20;

/// A login that the user made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLogin {
    /// The user name; `<token>` for an identity token.
    pub username: String,
    /// The password or token.
    pub secret: ExposedSecret,
    /// The server as the client spelt it.
    #[serde(default)]
    pub key: Option<String>,
    /// The codespace it was made in; `None` where there is none, or where its name is not known yet.
    pub codespace: Option<String>,
}

/// The stored logins, by canonical server.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredLogins(BTreeMap<String, StoredLogin>);

/// A change of one stored login, or of those that no longer count.
pub enum StoredChange {
    /// Keep this login for this server.
    Put(String, StoredLogin),
    /// Drop the login for this server.
    Remove(String),
    /// Drop what ended by this instant or was made in another codespace than this one, and let what
    /// was made before its name was known belong to it.
    Prune(Timestamp, Option<String>),
}

/// What a change did.
pub struct StoredOutcome {
    /// The logins from now on, those included that other agents with the same file stored.
    pub logins: StoredLogins,
    /// The server for which a login was put.
    pub put: Option<String>,
    /// What takes the change back; `None` when it changed nothing.
    pub undo: Option<StoredChange>,
}

impl StoredLogin {
    /// A stored login as a client sent it.
    pub fn new(key: String, username: String, secret: Secret) -> Self {
        Self { username, secret: ExposedSecret(secret), key: Some(key), codespace: None }
    }

    /// When it ends, where it says so itself.
    pub fn end(&self) -> Option<Timestamp> {
        stated_expiry::end_of(&self.secret.0)
    }

    /// A prebuilt image must not carry a login on into another codespace.
    fn counts(&self, now: Timestamp, codespace: Option<&str>) -> bool {
        let elsewhere = matches!((&self.codespace, codespace), (Some(a), Some(b)) if a != b);
        !elsewhere && self.end().is_none_or(|end| end > now)
    }
}

impl StoredLogins {
    /// The logins that count in this codespace, each with its server.
    pub fn counting<'a>(
        &'a self,
        now: Timestamp,
        codespace: Option<&'a str>,
    ) -> impl Iterator<Item = (Server, &'a StoredLogin)> {
        let counting = self.0.iter().filter(move |(_, login)| login.counts(now, codespace));
        counting.filter_map(|(name, login)| Some((Server::parse(name).ok()?.0, login)))
    }

    /// Whether [`StoredChange::Prune`] would change anything.
    pub fn needs_pruning(&self, now: Timestamp, codespace: Option<&str>) -> bool {
        self.0.values().any(|login| {
            !login.counts(now, codespace) || (login.codespace.is_none() && codespace.is_some())
        })
    }

    fn apply(&mut self, change: StoredChange) -> Option<StoredChange> {
        match change {
            StoredChange::Put(server, login) => {
                let server = canonical(&server);
                let previous = self.0.insert(server.clone(), login);
                Some(match previous {
                    Some(previous) => StoredChange::Put(server, previous),
                    None => StoredChange::Remove(server),
                })
            }
            StoredChange::Remove(server) => {
                let server = canonical(&server);
                let previous = self.0.remove(&server)?;
                Some(StoredChange::Put(server, previous))
            }
            StoredChange::Prune(now, codespace) => {
                let before = self.clone();
                self.0.retain(|_, login| login.counts(now, codespace.as_deref()));
                for login in self.0.values_mut() {
                    login.codespace = login.codespace.take().or_else(|| codespace.clone());
                }
                // Nobody takes it back, so it need not be the true inverse.
                (*self != before).then_some(StoredChange::Prune(now, codespace))
            }
        }
    }
}

/// The file.
pub struct StoredLoginFile(StateFile);

impl StoredLoginFile {
    /// The file in `state_dir`; what a killed agent left beside it is removed.
    pub fn open(state_dir: &Path) -> Self {
        let file = StateFile::new(state_dir, "logins.json", LIMIT);
        file.sweep();
        Self(file)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The logins it holds; none when it is not there.
    pub fn read(&self) -> io::Result<StoredLogins> {
        let Some(text) = self.0.read()? else { return Ok(StoredLogins::default()) };
        let logins: StoredLogins = serde_json::from_slice(&text).map_err(|error| {
            let fault = format!("invalid JSON, line {} column {}", error.line(), error.column());
            io::Error::new(io::ErrorKind::InvalidData, fault)
        })?;
        let logins = logins.0.into_iter().map(|(server, login)| (canonical(&server), login));
        Ok(StoredLogins(logins.collect()))
    }

    /// Makes a change and has it safe on the disk, unless `is_wanted` says no before that. A file
    /// that holds no logins gives way to those that are `known`.
    pub fn change(
        &self,
        known: &StoredLogins,
        change: StoredChange,
        is_wanted: &dyn Fn() -> bool,
    ) -> io::Result<StoredOutcome> {
        let _lock = self.0.lock()?;
        let mut logins = match self.read() {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => known.clone(),
            read => read?,
        };
        let put = match &change {
            StoredChange::Put(server, _) => Some(canonical(server)),
            _ => None,
        };
        let undo = logins.apply(change);
        if undo.is_some() && logins.0.is_empty() && is_wanted() {
            self.0.remove()?;
        } else if undo.is_some() {
            let text = Zeroizing::new(serde_json::to_vec(&logins)?);
            self.0.replace(&text, is_wanted)?;
        }
        Ok(StoredOutcome { logins, put, undo })
    }
}

/// The name under which a login is found again, whatever is written in the file.
fn canonical(server: &str) -> String {
    Server::parse(server).map_or_else(|_| server.to_owned(), |(server, _)| server.name().to_owned())
}
