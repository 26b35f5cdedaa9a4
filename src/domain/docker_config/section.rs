//! The entries in `credHelpers` and `auths`: reads them, and changes those that are ours.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::auth_entry::{is_marker, login_of};
use super::json_document::{Layout, Member, Object};
use super::{PublishReason, PublishedLogin};

/// A kind of section, which may occur more than once in a document or not at all.
///
/// docker follows Go's rules: it matches names in any case and merges the entries of duplicate
/// objects. Most other readers use the last object with the exact name. New entries are added to
/// the last object with the exact name, which works for both.
pub(super) struct Section {
    name: &'static str,
    /// What an entry stands for, however it is formatted: a helper's name, or user and secret.
    content: fn(&str) -> Option<Zeroizing<String>>,
    /// Whether an entry is docker's marker for a login that is elsewhere, and may be replaced.
    is_marker: fn(&str) -> bool,
    /// The reason why an entry that belongs to the user keeps ours out.
    conflict: fn(path: &str, key: &str, entry: &str) -> PublishReason,
}

/// The registries for which docker uses a helper.
pub(super) const CRED_HELPERS: Section = Section {
    name: "credHelpers",
    content: helper_named,
    is_marker: |_| false,
    conflict: |path, key, entry| PublishReason::OtherHelper {
        path: path.to_owned(),
        key: key.to_owned(),
        helper: helper_named(entry).unwrap_or_default().to_string(),
    },
};

/// Plain-text logins.
pub(super) const AUTHS: Section = Section {
    name: "auths",
    content: login_of,
    is_marker,
    conflict: |path, key, _| PublishReason::OtherLogin {
        path: path.to_owned(),
        key: key.to_owned(),
    },
};

/// What an update did to a section.
#[derive(Default)]
pub(super) struct Updated {
    pub(super) ours: BTreeMap<String, PublishedLogin>,
    pub(super) repaired: BTreeSet<String>,
    pub(super) conflicts: BTreeMap<String, PublishReason>,
}

/// The value of a member with the name of a section is not an object.
#[derive(Debug)]
pub(super) struct NotEntries(pub(super) &'static str);

impl Section {
    /// All entries; later ones override earlier ones.
    pub(super) fn entries<'d>(
        &self,
        document: &'d Object<'_>,
    ) -> Result<Vec<Member<'d>>, NotEntries> {
        let mut entries = Vec::new();
        for member in document.members.iter().filter(|member| self.is_named(member)) {
            entries.extend(self.object(member)?.members);
        }
        Ok(entries)
    }

    /// Updates our entries to those `wanted`, which are JSON values by key. `known` are those that
    /// we may have written before. `path` is for reasons.
    ///
    /// `bare` is the empty value that the section had (`{}`, `null`) before our first entry: it is
    /// recorded then, and restored when our last entry is removed. A section that did not exist is
    /// removed with our last entry.
    pub(super) fn update(
        &self,
        path: &str,
        document: &mut Object<'_>,
        wanted: &BTreeMap<String, Zeroizing<String>>,
        known: &BTreeMap<String, PublishedLogin>,
        bare: &mut Option<String>,
    ) -> Result<Updated, NotEntries> {
        if wanted.is_empty() && known.is_empty() {
            return Ok(Updated::default());
        }
        let mut missing: BTreeMap<&str, _> =
            wanted.iter().map(|(key, json)| (&**key, json)).collect();
        let unseen = missing.clone();
        let mut update =
            Update { section: self, path, wanted, known, unseen, updated: Updated::default() };
        for entry in self.entries(document)? {
            missing.remove::<str>(&entry.key);
        }
        let layout = document.layout();
        let is_exact = |member: &Member<'_>| member.key == self.name;
        let is_new = !missing.is_empty() && !document.members.iter().any(is_exact);
        if is_new {
            document.append(self.name, "null".to_owned().into(), &layout);
        }
        let target = document.members.iter().rposition(is_exact);
        for place in (0..document.members.len()).rev() {
            let section = &document.members[place];
            if !self.is_named(section) {
                continue;
            }
            let is_exact = is_exact(section);
            let mut object = self.object(section)?;
            let (mut inner, was_empty) = (object.layout(), object.members.is_empty());
            update.renew_or_remove(&mut object, is_exact);
            if target == Some(place) && !missing.is_empty() {
                if object.members.is_empty() {
                    if was_empty {
                        *bare = (!is_new).then(|| object.text().to_string());
                    }
                    (object, inner) = layout.nested();
                }
                update.append(&mut object, std::mem::take(&mut missing), &inner);
            }
            let is_emptied = object.members.is_empty() && !was_empty;
            let text = object.text();
            match bare.take_if(|_| is_emptied) {
                Some(bare) => document.members[place].set(bare.into()),
                None if is_emptied => document.remove(place),
                None => document.members[place].set(text),
            }
        }
        Ok(update.updated)
    }

    /// Identifies an entry of ours by its value, which is JSON.
    pub(super) fn published(&self, json: &str, marker: Option<String>) -> PublishedLogin {
        let content = (self.content)(json);
        PublishedLogin {
            fingerprints: content.iter().map(|content| fingerprint(content)).collect(),
            marker,
        }
    }

    /// Gives an entry its wanted value; `None` if it belongs to the user.
    fn renew(
        &self,
        entry: &mut Member<'_>,
        json: &Zeroizing<String>,
        known: Option<&PublishedLogin>,
    ) -> Option<PublishedLogin> {
        let content = (self.content)(entry.value());
        let old_marker = || known.and_then(|login| login.marker.clone());
        if content.is_some() && content == (self.content)(json) {
            return Some(self.published(json, old_marker()));
        }
        let marker = match entry.value() {
            value if (self.is_marker)(value) => Some(value.to_owned()),
            value if known.is_some_and(|login| self.made(login, value)) => old_marker(),
            _ => return None,
        };
        entry.set(json.clone());
        Some(self.published(json, marker))
    }

    /// Whether we wrote the entry.
    fn made(&self, login: &PublishedLogin, json: &str) -> bool {
        let content = (self.content)(json);
        content.is_some_and(|content| login.fingerprints.contains(&fingerprint(&content)))
    }

    fn is_named(&self, member: &Member<'_>) -> bool {
        member.key.eq_ignore_ascii_case(self.name)
    }

    fn object<'d>(&self, section: &'d Member<'_>) -> Result<Object<'d>, NotEntries> {
        match section.value() {
            "null" => Ok(Object::empty("null")),
            value => Object::parse(value).map_err(|_| NotEntries(self.name)),
        }
    }
}

/// An update of a section in progress.
struct Update<'a> {
    section: &'a Section,
    path: &'a str,
    wanted: &'a BTreeMap<String, Zeroizing<String>>,
    known: &'a BTreeMap<String, PublishedLogin>,
    /// The wanted entries that no object seen so far contains.
    unseen: BTreeMap<&'a str, &'a Zeroizing<String>>,
    updated: Updated,
}

impl Update<'_> {
    /// Gives the wanted entries in one object their values, and removes the other entries of ours.
    fn renew_or_remove(&mut self, object: &mut Object<'_>, is_exact: bool) {
        let section = self.section;
        for index in (0..object.members.len()).rev() {
            let entry = &mut object.members[index];
            let known = self.known.get(&*entry.key);
            if let Some((key, json)) = self.unseen.remove_entry::<str>(&entry.key) {
                let is_repair = known.is_some() && (section.is_marker)(entry.value());
                self.updated.repaired.extend(is_repair.then(|| key.to_owned()));
                if let Some(login) = section.renew(entry, json, known) {
                    self.updated.ours.insert(key.to_owned(), login);
                } else {
                    let conflict = (section.conflict)(self.path, key, entry.value());
                    self.updated.conflicts.insert(key.to_owned(), conflict);
                }
            } else if is_exact
                && !self.wanted.contains_key(&*entry.key)
                && let Some(login) = known.filter(|login| section.made(login, entry.value()))
            {
                match &login.marker {
                    Some(marker) => entry.set(marker.clone().into()),
                    None => object.remove(index),
                }
            }
        }
    }

    /// Adds the wanted entries that no object contains.
    fn append(
        &mut self,
        object: &mut Object<'_>,
        missing: BTreeMap<&str, &Zeroizing<String>>,
        layout: &Layout,
    ) {
        for (key, json) in missing {
            object.append(key, json.clone(), layout);
            self.updated.repaired.extend(self.known.contains_key(key).then(|| key.to_owned()));
            self.updated.ours.insert(key.to_owned(), self.section.published(json, None));
        }
    }
}

/// The helper that an entry names; `None` if it is not a string.
pub(super) fn helper_named(json: &str) -> Option<Zeroizing<String>> {
    serde_json::from_str(json).ok().map(Zeroizing::new)
}

/// A short fingerprint that identifies an entry we wrote. It is short on purpose: a foreign entry
/// matches by chance once in four billion, and 32 bits do not reveal a password.
fn fingerprint(content: &str) -> u32 {
    let mix = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    content.bytes().fold(0x811c_9dc5, mix)
}
