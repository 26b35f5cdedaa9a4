//! Reads the logins in a docker configuration, or in podman's auth file of the same format.

use super::auth_entry::parse_entry;
use super::cred_helpers::helper_named;
use super::json_document::{BYTE_ORDER_MARK, Object};
use super::section::Section;
use super::{Credential, HELPER};
use crate::domain::servers::server::Server;

/// The plain login of a registry in `auths`, whatever form its key has. An entry for a repository
/// path does not count. `None` if there is no login or the text is not a configuration.
pub fn plain_auth(text: &str, server: &Server) -> Option<Credential> {
    let document = document(text)?;
    let auths = Section::of(text, &document, "auths").ok()?;
    let by_key = server.keys().into_iter().find_map(|key| parse_entry(auths.entry(&key)?.value));
    by_key.or_else(|| {
        let mut entries = auths.entries().rev().filter(|entry| names(entry.key, server));
        entries.find_map(|entry| parse_entry(entry.value))
    })
}

/// Whether the file itself decides about a registry: by a plain login, or another helper.
pub fn holds_login(text: &str, server: &Server) -> bool {
    let other_helper = || {
        let document = document(text)?;
        let helpers = Section::of(text, &document, "credHelpers").ok()?;
        let mut named = server.keys().into_iter().filter_map(|key| {
            let entry = helpers.entry(&key)?;
            helper_named(entry.value).filter(|helper| !helper.is_empty() && helper != HELPER)
        });
        named.next()
    };
    plain_auth(text, server).is_some() || other_helper().is_some()
}

/// The helper for all credentials without a helper of their own (`credsStore`).
pub fn credentials_store(text: &str) -> Option<String> {
    store_of(&document(text)?)
}

pub(super) fn store_of(document: &Object<'_>) -> Option<String> {
    let mut named = document.members.iter().rev();
    let member = named.find(|member| member.key.eq_ignore_ascii_case("credsStore"))?;
    helper_named(member.value).filter(|store| !store.is_empty())
}

fn document(text: &str) -> Option<Object<'_>> {
    Object::parse(text, text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)).ok()
}

/// Whether a key stands for the whole registry, not for one repository on it.
fn names(key: &str, server: &Server) -> bool {
    server.answers_to(key) && matches!(Server::parse(key), Ok((_, None)))
}
