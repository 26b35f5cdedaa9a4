//! Reads the logins in a docker configuration, or in podman's auth file of the same format.

use std::collections::BTreeMap;

use super::auth_entry::parse_entry;
use super::json_document::Object;
use super::section::{AUTHS, CRED_HELPERS, NotEntries, helper_named};
use super::{Credential, HELPER, PublishReason};
use crate::domain::servers::server::Server;

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
    Ok(())
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

/// Whether the file itself decides about a registry: by a plain login, or another helper.
pub fn holds_login(text: &str, server: &Server) -> bool {
    let other_helper = || {
        let others = other_helpers(&Object::parse(text).ok()?).ok()?;
        server.keys().into_iter().find(|key| others.contains_key(key))
    };
    plain_auth(text, server).is_some() || other_helper().is_some()
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
