//! Files of the user in which package clients look for logins: what they should contain, and the edits.
//!
//! As in docker's configuration, an edit changes only the agent's own lines.

pub mod keyringrc;
pub mod npmrc;

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::package_clients::format::PackageFormat;
use super::servers::package_server::PackageServer;

/// What the files of package clients should contain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedClientFiles {
    /// The URLs of the npm registries whose logins are not withheld, by the key of their settings in
    /// `.npmrc`, such as `//registry.example.com/npm/`.
    pub npm: BTreeMap<String, String>,
    /// Whether Python's keyring should ask the agent.
    pub keyring: bool,
}

/// What becomes of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum NewText {
    /// It stays as it is.
    Same,
    /// This is its text.
    Text(Zeroizing<String>),
    /// It is removed: the agent created it, and nothing else is in it.
    Removed,
}

impl WantedClientFiles {
    /// Adds what clients need for the login of `server`; `is_usable` tells that it is not withheld.
    pub fn add(&mut self, server: &PackageServer, is_usable: bool) {
        if is_usable && let Some((key, url)) = npmrc::setting(server) {
            self.npm.insert(key, url);
        }
        self.keyring |= PackageFormat::Python.may_be_in(server);
    }
}
