//! The entries in `credHelpers` and `auths`: reads them, and changes those that are ours.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::auth_entry::{is_marker, login_of};
use super::json_document::{Member, Object};
use super::{Mark, PublishReason};

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
    pub(super) ours: BTreeMap<String, Mark>,
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
        known: &BTreeMap<String, Mark>,
        bare: &mut Option<String>,
    ) -> Result<Updated, NotEntries> {
        let mut updated = Updated::default();
        if wanted.is_empty() && known.is_empty() {
            return Ok(updated);
        }
        let mut missing: BTreeMap<&str, _> =
            wanted.iter().map(|(key, json)| (&**key, json)).collect();
        let mut unseen = missing.clone();
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
            for index in (0..object.members.len()).rev() {
                let entry = &mut object.members[index];
                let mark = known.get(&*entry.key);
                if let Some((key, json)) = unseen.remove_entry::<str>(&entry.key) {
                    let is_repair = mark.is_some() && (self.is_marker)(entry.value());
                    updated.repaired.extend(is_repair.then(|| key.to_owned()));
                    if let Some(mark) = self.renew(entry, json, mark) {
                        updated.ours.insert(key.to_owned(), mark);
                    } else {
                        let conflict = (self.conflict)(path, key, entry.value());
                        updated.conflicts.insert(key.to_owned(), conflict);
                    }
                } else if is_exact
                    && !wanted.contains_key(&*entry.key)
                    && let Some(mark) = mark.filter(|mark| self.made(mark, entry.value()))
                {
                    match &mark.marker {
                        Some(marker) => entry.set(marker.clone().into()),
                        None => object.remove(index),
                    }
                }
            }
            if target == Some(place) && !missing.is_empty() {
                if object.members.is_empty() {
                    if was_empty {
                        *bare = (!is_new).then(|| object.text().to_string());
                    }
                    (object, inner) = layout.nested();
                }
                for (key, json) in std::mem::take(&mut missing) {
                    object.append(key, json.clone(), &inner);
                    updated.repaired.extend(known.contains_key(key).then(|| key.to_owned()));
                    updated.ours.insert(key.to_owned(), self.mark(json, None));
                }
            }
            let is_emptied = object.members.is_empty() && !was_empty;
            let text = object.text();
            match bare.take_if(|_| is_emptied) {
                Some(bare) => document.members[place].set(bare.into()),
                None if is_emptied => document.remove(place),
                None => document.members[place].set(text),
            }
        }
        Ok(updated)
    }

    /// Identifies an entry of ours by its value, which is JSON.
    pub(super) fn mark(&self, json: &str, marker: Option<String>) -> Mark {
        let content = (self.content)(json);
        Mark { fingerprints: content.iter().map(|content| fingerprint(content)).collect(), marker }
    }

    /// Gives an entry its wanted value; `None` if it belongs to the user.
    fn renew(
        &self,
        entry: &mut Member<'_>,
        json: &Zeroizing<String>,
        known: Option<&Mark>,
    ) -> Option<Mark> {
        let content = (self.content)(entry.value());
        let old_marker = || known.and_then(|mark| mark.marker.clone());
        if content.is_some() && content == (self.content)(json) {
            return Some(self.mark(json, old_marker()));
        }
        let marker = match entry.value() {
            value if (self.is_marker)(value) => Some(value.to_owned()),
            value if known.is_some_and(|mark| self.made(mark, value)) => old_marker(),
            _ => return None,
        };
        entry.set(json.clone());
        Some(self.mark(json, marker))
    }

    /// Whether we wrote the entry.
    fn made(&self, mark: &Mark, json: &str) -> bool {
        let content = (self.content)(json);
        content.is_some_and(|content| mark.fingerprints.contains(&fingerprint(&content)))
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
