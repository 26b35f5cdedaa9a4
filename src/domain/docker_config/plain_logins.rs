//! Edits `auths`: plain-text logins, for clients that cannot run a helper.

use super::auth_entry::{fingerprint, parse_entry, plain_entry};
use super::cred_helpers::helper_named;
use super::json_document::{Object, spliced};
use super::lookup::store_of;
use super::section::Section;
use super::{Edit, HELPER, Mark, PublishReason, Wanted, parse, section};
use crate::domain::credentials::credential::Credential;

/// Updates our plain logins to those wanted; `None` if nothing changes.
pub(super) fn edit(
    path: &str,
    text: &str,
    wanted: &Wanted,
    edit: &mut Edit,
) -> Result<Option<String>, PublishReason> {
    let before = std::mem::take(&mut edit.ours.auths);
    if before.is_empty() && wanted.auths.is_empty() {
        return Ok(None);
    }
    let document = parse(path, text)?;
    let mut section = section(path, text, &document, "auths")?;
    let stale: Vec<_> = section
        .entries()
        .filter(|entry| entry.exact && !wanted.auths.contains_key(entry.key))
        .filter_map(|entry| {
            let mark = before.get(entry.key).filter(|mark| mark.made(entry.value))?;
            Some((entry.id, mark.marker.clone()))
        })
        .collect();
    for (id, marker) in stale {
        match marker {
            Some(marker) => section.replace(id, marker),
            None => section.remove(id),
        }
    }
    for (key, credential) in &wanted.auths {
        let known = before.get(key);
        match place(&mut section, key, credential, known) {
            Placed::There(mark) => _ = edit.ours.auths.insert(key.clone(), mark),
            Placed::Again(mark) => {
                edit.ours.auths.insert(key.clone(), mark);
                edit.repaired.extend(known.map(|_| key.clone()));
            }
            Placed::Taken => edit
                .conflicts
                .push(PublishReason::OtherLogin { path: path.to_owned(), key: key.clone() }),
        }
    }
    let splices = section.splices(&mut edit.ours.empty_auths);
    edit.conflicts.extend(passed_over(path, text, &document, wanted)?);
    Ok((!splices.is_empty()).then(|| spliced(text, splices)))
}

/// The result of placing a login.
enum Placed {
    /// The login was already there, unchanged or with an earlier credential.
    There(Mark),
    /// The login was missing and has been added.
    Again(Mark),
    /// Not placed: the entry belongs to the user.
    Taken,
}

fn place(
    section: &mut Section<'_>,
    key: &str,
    credential: &Credential,
    known: Option<&Mark>,
) -> Placed {
    let mark = |marker| Mark { fingerprints: [fingerprint(credential)].into(), marker };
    let json = || plain_entry(credential).to_string();
    let old_marker = || known.and_then(|mark| mark.marker.clone());
    let Some(entry) = section.entry(key) else {
        section.add(key, json());
        return Placed::Again(mark(None));
    };
    let (id, value) = (entry.id, entry.value.to_owned());
    match parse_entry(&value) {
        Some(held) if held.user == credential.user && held.secret == credential.secret => {
            Placed::There(mark(old_marker()))
        }
        Some(_) if known.is_some_and(|mark| mark.made(&value)) => {
            section.replace(id, json());
            Placed::There(mark(old_marker()))
        }
        None if is_marker(&value) => {
            section.replace(id, json());
            Placed::Again(mark(Some(value)))
        }
        _ => Placed::Taken,
    }
}

/// docker leaves an empty object for a server whose credential is kept by a helper.
fn is_marker(value: &str) -> bool {
    Object::parse(value, value).is_ok_and(|object| object.members.is_empty())
}

/// The setting that makes docker ignore `auths`.
fn passed_over(
    path: &str,
    text: &str,
    document: &Object<'_>,
    wanted: &Wanted,
) -> Result<Vec<PublishReason>, PublishReason> {
    let helpers = section(path, text, document, "credHelpers")?;
    let named = |key: &String| {
        let helper = helper_named(helpers.entry(key)?.value)?;
        (!helper.is_empty() && helper != HELPER).then(|| PublishReason::OtherHelper {
            path: path.to_owned(),
            key: key.clone(),
            helper,
        })
    };
    let store = store_of(document).filter(|_| !wanted.auths.is_empty());
    let passed = store.map(|store| PublishReason::StoreFirst { path: path.to_owned(), store });
    Ok(wanted.auths.keys().filter_map(named).chain(passed).collect())
}

impl Mark {
    /// Whether we wrote the entry.
    fn made(&self, value: &str) -> bool {
        parse_entry(value).is_some_and(|held| self.fingerprints.contains(&fingerprint(&held)))
    }
}
