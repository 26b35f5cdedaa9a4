//! Reads the logins in a docker configuration, or in podman's auth file of the same format.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::auth_entry::parse_entry;
use super::json_document::{BYTE_ORDER_MARK, Object};
use super::section::{AUTHS, CRED_HELPERS, NotEntries, helper_named};
use super::{Credential, HELPER, PublishReason};
use crate::domain::servers::server::{AskedServer, Server};

/// The plain login of a registry in `auths`, whatever form its key has. An entry for a repository
/// path does not count. `None` if there is no login or the text is not a configuration.
pub fn plain_auth(text: &str, server: &Server) -> Option<Credential> {
    let document = Object::parse(text).ok()?;
    let mut entries = AUTHS.entries(&document).ok()?;
    entries.reverse();
    let of_key =
        |key: &String| parse_entry(entries.iter().find(|entry| entry.key == *key)?.value());
    server.keys().iter().find_map(of_key).or_else(|| {
        let mut named = entries.iter().filter(|entry| names(&entry.key, server));
        named.find_map(|entry| parse_entry(entry.value()))
    })
}

/// Whether docker can use the text of the file called `path`. An empty file is a configuration.
pub fn check(path: &str, text: &str) -> Result<(), PublishReason> {
    let malformed = |fault| PublishReason::Malformed { path: path.to_owned(), fault };
    let not_entries = |NotEntries(name)| PublishReason::NotEntries {
        path: path.to_owned(),
        name: name.to_owned(),
    };
    if text.trim().is_empty() {
        return Ok(());
    }
    let document = Object::parse(text).map_err(malformed)?;
    AUTHS.entries(&document).map_err(not_entries)?;
    CRED_HELPERS.entries(&document).map_err(not_entries)?;
    if text.starts_with(BYTE_ORDER_MARK) {
        return Err(PublishReason::ByteOrderMark { path: path.to_owned() });
    }
    Ok(())
}

/// Where docker takes the login for a key from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginPlace {
    /// This credential helper.
    Helper(String),
    /// The helper for all keys without one (`credsStore`).
    Store(String),
    /// The entry in `auths`.
    File,
    /// There is none.
    Nowhere,
}

/// Where docker takes the login for exactly this key from. Nowhere if the text is not a
/// configuration.
pub fn place_of(text: &str, key: &str) -> LoginPlace {
    let Ok(document) = Object::parse(text) else { return LoginPlace::Nowhere };
    let helpers = CRED_HELPERS.entries(&document).unwrap_or_default();
    let helper = helpers.iter().rev().find(|entry| entry.key == key);
    let named = helper.and_then(|entry| helper_named(entry.value()));
    if let Some(helper) = named.filter(|helper| !helper.is_empty()) {
        return LoginPlace::Helper(helper.to_string());
    }
    if let Some(store) = store_of(&document) {
        return LoginPlace::Store(store);
    }
    let logins = AUTHS.entries(&document).unwrap_or_default();
    let login = logins.iter().rev().find(|entry| entry.key == key);
    match login.and_then(|entry| parse_entry(entry.value())) {
        Some(_) => LoginPlace::File,
        None => LoginPlace::Nowhere,
    }
}

/// Whether docker runs our helper for this registry.
pub fn names_our_helper(text: &str, server: &Server) -> bool {
    let Ok(document) = Object::parse(text) else { return false };
    CRED_HELPERS.entries(&document).is_ok_and(|entries| {
        entries.iter().any(|entry| {
            helper_named(entry.value()).is_some_and(|helper| *helper == HELPER)
                && server.answers_to(&entry.key)
        })
    })
}

/// The keys for which docker runs our helper. None if the text is not a configuration.
pub fn keys_with_our_helper(text: &str) -> BTreeSet<String> {
    let Ok(document) = Object::parse(text) else { return BTreeSet::new() };
    let entries = CRED_HELPERS.entries(&document).unwrap_or_default().into_iter();
    let ours =
        entries.filter(|entry| helper_named(entry.value()).is_some_and(|helper| *helper == HELPER));
    ours.map(|entry| entry.key.to_string()).collect()
}

/// The entries with which a file itself decides about registries: plain logins, and other helpers.
pub struct OwnEntries(Vec<(AskedServer, OwnEntry)>);

/// One of these entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnEntry {
    /// Its key, as written.
    pub key: String,
    /// `auths` or `credHelpers`.
    pub section: &'static str,
}

/// The entries of a file's text; none if the text is not a configuration.
pub fn own_entries(text: &str) -> OwnEntries {
    OwnEntries(entries_of(text).unwrap_or_default())
}

/// The login in podman's auth file that decides about this repository rather than about its whole
/// registry: the longest path (containers-auth.json(5)).
pub fn entry_for_repository(text: &str, server: &Server, repository: &str) -> Option<OwnEntry> {
    let document = Object::parse(text).ok()?;
    let logins = AUTHS.entries(&document).ok()?.into_iter();
    let logins = logins.filter(|entry| parse_entry(entry.value()).is_some());
    let below = |key: &str| {
        let (_, path) = key.split_once('/')?;
        let rest = repository.strip_prefix(path)?;
        let is_asked = AskedServer::parse(key).is_some_and(|asked| server.matches(&asked));
        (is_asked && (rest.is_empty() || rest.starts_with('/'))).then_some(path.len())
    };
    let matching = logins.filter_map(|entry| Some((below(&entry.key)?, entry.key.to_string())));
    let (_, key) = matching.max()?;
    Some(OwnEntry { key, section: "auths" })
}

/// The keys of podman's auth file that decide about a part of this registry alone.
pub fn entries_below(text: &str, server: &Server) -> Vec<String> {
    let Ok(document) = Object::parse(text) else { return Vec::new() };
    let logins = AUTHS.entries(&document).unwrap_or_default().into_iter();
    let logins = logins.filter(|entry| parse_entry(entry.value()).is_some());
    let is_below = |key: &String| {
        key.split_once('/').is_some_and(|(_, path)| !path.is_empty() && !key.contains("://"))
            && AskedServer::parse(key).is_some_and(|asked| server.matches(&asked))
    };
    logins.map(|entry| entry.key.to_string()).filter(is_below).collect()
}

fn entries_of(text: &str) -> Option<Vec<(AskedServer, OwnEntry)>> {
    let document = Object::parse(text).ok()?;
    let logins = AUTHS.entries(&document).ok()?.into_iter();
    let logins = logins.filter(|entry| parse_entry(entry.value()).is_some());
    let logins = logins.map(|entry| (entry.key.to_string(), "auths"));
    let helpers = other_helpers(&document).ok()?.into_keys().map(|key| (key, "credHelpers"));
    let parsed = logins.chain(helpers).filter_map(|(key, section)| {
        // An entry for a repository decides about that alone.
        matches!(Server::parse(&key), Ok((_, None))).then_some(())?;
        Some((AskedServer::parse(&key)?, OwnEntry { key, section }))
    });
    Some(parsed.collect())
}

impl OwnEntries {
    /// The entry that decides about `server`.
    pub fn of(&self, server: &Server) -> Option<&OwnEntry> {
        let mut entries = self.0.iter();
        entries.find(|(asked, _)| server.matches(asked)).map(|(_, entry)| entry)
    }
}

/// The keys of the logins in `DOCKER_AUTH_CONFIG`. docker ignores the whole variable if it has an
/// unknown member or an entry without a login (`parseEnvConfig` in docker/cli), and looks for the
/// exact key.
pub fn environment_logins(text: &str) -> BTreeSet<String> {
    let Ok(config) = serde_json::from_str::<EnvironmentConfig<'_>>(text) else {
        return BTreeSet::new();
    };
    let has_login = |auth: &str| {
        let Ok(pair) = STANDARD.decode(auth.as_bytes()).map(Zeroizing::new) else { return false };
        pair.iter().position(|&byte| byte == b':').is_some_and(|user| user > 0)
    };
    if config.auths.values().all(|entry| has_login(&entry.auth)) {
        config.auths.into_keys().collect()
    } else {
        BTreeSet::new()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentConfig<'a> {
    #[serde(borrow, default)]
    auths: BTreeMap<String, EnvironmentAuth<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentAuth<'a> {
    #[serde(borrow, default)]
    auth: Cow<'a, str>,
}

/// The helper for all credentials without a helper of their own (`credsStore`).
pub fn credentials_store(text: &str) -> Option<String> {
    store_of(&Object::parse(text).ok()?)
}

pub(super) fn store_of(document: &Object<'_>) -> Option<String> {
    let mut named = document.members.iter().rev();
    let member = named.find(|member| member.key.eq_ignore_ascii_case("credsStore"))?;
    helper_named(member.value()).filter(|store| !store.is_empty()).map(|store| store.to_string())
}

/// The helpers other than ours that docker runs, by key.
pub(super) fn other_helpers(document: &Object<'_>) -> Result<BTreeMap<String, String>, NotEntries> {
    let entries = CRED_HELPERS.entries(document)?.into_iter();
    let named = entries
        .map(|e| (e.key.to_string(), helper_named(e.value()).unwrap_or_default().to_string()));
    let mut helpers: BTreeMap<_, _> = named.collect();
    helpers.retain(|_, helper| !helper.is_empty() && helper != HELPER);
    Ok(helpers)
}

/// Whether a key stands for the whole registry, not for one repository on it.
fn names(key: &str, server: &Server) -> bool {
    server.answers_to(key) && matches!(Server::parse(key), Ok((_, None)))
}
