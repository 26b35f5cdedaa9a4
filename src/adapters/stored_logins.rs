//! Logins stored by `docker login`: the only secrets that are written to disk, because the user
//! asked for it.
//!
//! They are in `logins.json` in the state directory, mode 0600.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state_file::StateFile;
use crate::domain::credentials::secret::Secret;
use crate::domain::credentials::secret_json::to_json;
use crate::domain::credentials::stated_expiry;
use crate::domain::servers::server::{self, Server};
use crate::wire::exposed_secret::ExposedSecret;

/// The maximum size of the file, enough for hundreds of tokens.
const LIMIT: u64 = 2 << 20;

/// A login that the user made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLogin {
    /// The user name; `<token>` for an identity token.
    pub username: String,
    /// The password or token.
    pub secret: ExposedSecret,
    /// The server in the client's spelling.
    #[serde(default)]
    pub key: Option<String>,
    /// The codespace in which it was stored; `None` outside a codespace, or if its name is not
    /// known yet.
    pub codespace: Option<String>,
}

/// The stored logins, by canonical server, and the tokens of docker's web login.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredLogins(BTreeMap<String, StoredLogin>);

/// A change to one stored login, or the removal of obsolete ones.
pub enum StoredChange {
    /// Store this login for this server.
    Put(String, StoredLogin),
    /// Remove the login for this server.
    Remove(String),
    /// Remove logins that expired by this instant or were stored in another codespace than this
    /// one. Logins stored before the codespace's name was known are assigned to it.
    Prune(Timestamp, Option<String>),
}

/// The result of a change.
pub struct StoredOutcome {
    /// The logins after the change, including those stored by other agents that share the file.
    pub logins: StoredLogins,
    /// The server of a login that was stored.
    pub put: Option<String>,
    /// The change that reverts this one; `None` if nothing changed.
    pub undo: Option<StoredChange>,
}

impl StoredLogin {
    /// A stored login as sent by a client.
    pub fn new(key: String, username: String, secret: Secret) -> Self {
        Self { username, secret: ExposedSecret(secret), key: Some(key), codespace: None }
    }

    /// Its expiry, if the secret states one.
    pub fn end(&self) -> Option<Timestamp> {
        stated_expiry::end_of(&self.secret.0)
    }

    /// A prebuilt image must not carry a login into another codespace.
    fn counts(&self, server: &str, now: Timestamp, codespace: Option<&str>) -> bool {
        let elsewhere = matches!((&self.codespace, codespace), (Some(a), Some(b)) if a != b);
        // docker itself erases the tokens of its web login.
        let lasts = is_token(server) || self.end().is_none_or(|end| end > now);
        !elsewhere && lasts
    }
}

fn is_token(server: &str) -> bool {
    server::web_login_token(server).is_some()
}

impl StoredLogins {
    /// The logins that apply in this codespace, each with its server.
    pub fn counting<'a>(
        &'a self,
        now: Timestamp,
        codespace: Option<&'a str>,
    ) -> impl Iterator<Item = (Server, &'a StoredLogin)> {
        let counting = self.0.iter().filter(move |(server, login)| {
            !is_token(server) && login.counts(server, now, codespace)
        });
        counting.filter_map(|(name, login)| Some((Server::parse(name).ok()?.0, login)))
    }

    /// The tokens of docker's web login that apply in this codespace, each with docker's name for
    /// it.
    pub fn web_login_tokens<'a>(
        &'a self,
        now: Timestamp,
        codespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'static str, &'a StoredLogin)> {
        self.0.iter().filter_map(move |(server, login)| {
            let token = server::web_login_token(server)?;
            login.counts(server, now, codespace).then_some((token, login))
        })
    }

    /// Whether [`StoredChange::Prune`] would change anything.
    pub fn needs_pruning(&self, now: Timestamp, codespace: Option<&str>) -> bool {
        self.0.iter().any(|(server, login)| {
            !login.counts(server, now, codespace)
                || (login.codespace.is_none() && codespace.is_some())
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
                self.0.retain(|server, login| login.counts(server, now, codespace.as_deref()));
                for login in self.0.values_mut() {
                    login.codespace = login.codespace.take().or_else(|| codespace.clone());
                }
                // Pruning is never reverted, so this need not be an exact inverse.
                (*self != before).then_some(StoredChange::Prune(now, codespace))
            }
        }
    }
}

/// The file that holds the stored logins.
pub struct StoredLoginFile(StateFile);

impl StoredLoginFile {
    /// Opens the file in `state_dir` and removes temporary files that a killed agent left.
    pub fn open(state_dir: &Path) -> Self {
        let file = StateFile::new(state_dir, "logins.json", LIMIT);
        file.sweep();
        Self(file)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Reads the stored logins; empty if the file does not exist.
    pub fn read(&self) -> io::Result<StoredLogins> {
        let Some(text) = self.0.read()? else { return Ok(StoredLogins::default()) };
        let logins: StoredLogins = serde_json::from_slice(&text).map_err(|error| {
            let fault =
                format!("not valid JSON at line {}, column {}", error.line(), error.column());
            io::Error::new(io::ErrorKind::InvalidData, fault)
        })?;
        let logins = logins.0.into_iter().map(|(server, login)| (canonical(&server), login));
        Ok(StoredLogins(logins.collect()))
    }

    /// Applies a change and writes it safely to disk, unless `is_wanted` returns false just before.
    /// If the file contains no valid logins, the change is applied to those in `known`.
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
            let text = to_json(&logins)?;
            self.0.replace(&text, is_wanted)?;
        }
        Ok(StoredOutcome { logins, put, undo })
    }
}

/// The canonical server name for lookups, whatever spelling is in the file.
fn canonical(server: &str) -> String {
    if let Some(token) = server::web_login_token(server) {
        return token.to_owned();
    }
    Server::parse(server).map_or_else(|_| server.to_owned(), |(server, _)| server.name().to_owned())
}
