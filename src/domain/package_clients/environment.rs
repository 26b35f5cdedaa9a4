//! The environment that gives package clients the logins of several registries.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::client_login::ClientLogin;
use crate::domain::client_files::npmrc;
use crate::domain::credentials::secret::Secret;
use crate::domain::credentials::secret_json::to_json;

/// The variable that holds the logins of all of Composer's registries.
const COMPOSER: &str = "COMPOSER_AUTH";

/// The variables to set for one child process.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClientEnvironment {
    /// The variables and their values.
    pub set: BTreeMap<String, Secret>,
    /// The variables that the user has set to another value.
    pub kept: BTreeSet<String>,
    /// The variables that two of the logins would set to different values.
    pub ambiguous: BTreeSet<String>,
}

impl ClientEnvironment {
    /// The environment for these logins. `current` is the value that a variable has already, which stays.
    pub fn of(logins: &[ClientLogin], current: impl Fn(&str) -> Option<String>) -> Self {
        let mut environment = Self::default();
        for (name, value) in logins.iter().flat_map(ClientLogin::settings) {
            environment.add(name, value);
        }
        let (composer, is_ambiguous) = composer_auth(logins);
        if is_ambiguous {
            environment.ambiguous.insert(COMPOSER.to_owned());
        } else if let Some(value) = composer {
            environment.set.insert(COMPOSER.to_owned(), value);
        }
        let Self { set, kept, ambiguous } = &mut environment;
        set.retain(|name, _| !ambiguous.contains(name));
        set.retain(|name, value| match current(name) {
            Some(other) if other != value.reveal() => {
                kept.insert(name.clone());
                false
            }
            _ => true,
        });
        environment
    }

    /// The tokens in an `.npmrc` that npm prefers to the user and the password of a login.
    pub fn overriding_tokens(&self, npmrc: &str) -> Vec<String> {
        let keys = self.set.keys().filter_map(|name| {
            name.strip_prefix("npm_config_").and_then(|name| name.strip_suffix(":_auth"))
        });
        let mut found: Vec<String> =
            keys.flat_map(|key| npmrc::login_settings(npmrc, key)).collect();
        found.retain(|name| name.ends_with(":_authToken"));
        found
    }

    fn add(&mut self, name: String, value: Secret) {
        match self.set.get(&name) {
            Some(other) if *other != value => {
                self.ambiguous.insert(name);
            }
            _ => {
                self.set.insert(name, value);
            }
        }
    }
}

/// The value of `COMPOSER_AUTH` (`composer/composer`, `doc/articles/authentication-for-private-packages.md`).
#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ComposerAuth<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    http_basic: BTreeMap<&'a str, ComposerPair<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    bearer: BTreeMap<&'a str, &'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
struct ComposerPair<'a> {
    username: &'a str,
    password: &'a str,
}

/// The value, and whether one host would have two logins: Composer knows no paths.
fn composer_auth(logins: &[ClientLogin]) -> (Option<Secret>, bool) {
    let mut auth = ComposerAuth::default();
    let mut is_ambiguous = false;
    for login in logins {
        let Some((user, secret)) = login.for_composer() else { continue };
        let (host, password) = (login.server.authority(), secret.reveal());
        let (pairs, tokens) = (&mut auth.http_basic, &mut auth.bearer);
        is_ambiguous |= if let Some(username) = user {
            let pair = ComposerPair { username, password };
            let other = pairs.insert(host, pair);
            tokens.contains_key(host) || other.is_some_and(|other| other != pair)
        } else {
            let other = tokens.insert(host, password);
            pairs.contains_key(host) || other.is_some_and(|other| other != password)
        };
    }
    if auth.http_basic.is_empty() && auth.bearer.is_empty() {
        return (None, false);
    }
    let json = to_json(&auth).ok();
    let text = json.and_then(|json| std::str::from_utf8(&json).ok().map(Secret::new));
    (text, is_ambiguous)
}
