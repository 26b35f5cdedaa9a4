//! An object of the docker configuration that holds entries (`credHelpers`, `auths`): reads its
//! entries and edits some of them without changing any other byte.

use std::collections::BTreeSet;

use super::json_document::{Object, Splice};
use super::layout::Layout;

/// A section of a document, which may occur more than once or not at all.
///
/// docker follows Go's rules: it matches names in any case and merges the entries of duplicate
/// objects. Most other readers use the last object with the exact name. New entries are added to
/// the last object with the exact name, which works for both.
pub(super) struct Section<'a> {
    text: &'a str,
    document: &'a Object<'a>,
    name: &'static str,
    places: Vec<Place<'a>>,
    removed: BTreeSet<EntryId>,
    replaced: Vec<(EntryId, String)>,
    added: Vec<(String, String)>,
}

/// Identifies one entry of a section.
pub(super) type EntryId = (usize, usize);

/// One entry as written.
pub(super) struct Entry<'s> {
    pub(super) id: EntryId,
    pub(super) key: &'s str,
    /// The raw JSON of the value.
    pub(super) value: &'s str,
    /// Whether its section has the exact name, so that every reader sees it.
    pub(super) exact: bool,
}

/// One object with the section's name.
struct Place<'a> {
    member: usize,
    exact: bool,
    object: Object<'a>,
}

/// A member with the section's name whose value is not an object.
#[derive(Debug)]
pub(super) struct NotEntries;

impl<'a> Section<'a> {
    pub(super) fn of(
        text: &'a str,
        document: &'a Object<'a>,
        name: &'static str,
    ) -> Result<Self, NotEntries> {
        let mut places = Vec::new();
        for (index, member) in document.members.iter().enumerate() {
            let exact = member.key == name;
            if !exact && !member.key.eq_ignore_ascii_case(name) {
                continue;
            }
            let object = match Object::parse(text, member.value) {
                Ok(object) => object,
                Err(_) if member.value == "null" => {
                    Object { span: member.value_span.clone(), members: Vec::new() }
                }
                Err(_) => return Err(NotEntries),
            };
            places.push(Place { member: index, exact, object });
        }
        let (removed, replaced, added) = (BTreeSet::new(), Vec::new(), Vec::new());
        Ok(Self { text, document, name, places, removed, replaced, added })
    }

    /// All entries; later ones override earlier ones.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        self.places.iter().enumerate().flat_map(|(place, Place { object, exact, .. })| {
            object.members.iter().enumerate().map(move |(index, member)| Entry {
                id: (place, index),
                key: &member.key,
                value: member.value,
                exact: *exact,
            })
        })
    }

    /// The effective entry for a key.
    pub(super) fn entry(&self, key: &str) -> Option<Entry<'_>> {
        self.entries().rfind(|entry| entry.key == key)
    }

    pub(super) fn remove(&mut self, id: EntryId) {
        self.removed.insert(id);
    }

    /// Replaces the value of an entry. `value` is JSON.
    pub(super) fn replace(&mut self, id: EntryId, value: String) {
        self.replaced.push((id, value));
    }

    /// Adds an entry. `value` is JSON.
    pub(super) fn add(&mut self, key: &str, value: String) {
        self.added.push((serde_json::Value::from(key).to_string(), value));
    }

    /// The text edits. `bare` is the empty value that the section had (`{}`, `null`) before our
    /// first entry: it is recorded then, and restored when our last entry is removed. A section
    /// that did not exist is removed with our last entry.
    pub(super) fn splices(self, bare: &mut Option<String>) -> Vec<Splice> {
        let target = self.places.iter().rposition(|place| place.exact);
        let mut splices = self.value_splices();
        let mut emptied = Vec::new();
        for (number, place) in self.places.iter().enumerate() {
            let gone: Vec<usize> =
                self.removed.iter().filter(|id| id.0 == number).map(|id| id.1).collect();
            let none_left = gone.len() == place.object.members.len();
            let value = self.document.members[place.member].value_span.clone();
            if target == Some(number) && !self.added.is_empty() {
                if none_left {
                    if gone.is_empty() {
                        *bare = Some(self.text[value.clone()].to_owned());
                    }
                    let layout = Layout::of(self.text, self.document);
                    splices.push((value, layout.object(&self.added)));
                    continue;
                }
                let layout = Layout::of(self.text, &place.object);
                let end = place.object.members.last().map_or(value.end, |m| m.value_span.end);
                splices.push((end..end, layout.more_members(&self.added)));
            }
            if gone.is_empty() {
                continue;
            }
            if !none_left {
                splices.extend(place.object.without(&gone));
            } else if let Some(bare) = bare.take() {
                splices.push((value, bare));
            } else {
                emptied.push(place.member);
            }
        }
        if !emptied.is_empty() {
            splices.extend(self.document.without(&emptied));
        }
        if target.is_none() && !self.added.is_empty() {
            *bare = None;
            splices.push(self.new_section());
        }
        splices
    }

    fn value_splices(&self) -> Vec<Splice> {
        let at = |id: EntryId| self.places[id.0].object.members[id.1].value_span.clone();
        self.replaced.iter().map(|(id, value)| (at(*id), value.clone())).collect()
    }

    fn new_section(&self) -> Splice {
        let layout = Layout::of(self.text, self.document);
        let member = [(format!("\"{}\"", self.name), layout.object(&self.added))];
        if let Some(last) = self.document.members.last() {
            return (last.value_span.end..last.value_span.end, layout.more_members(&member));
        }
        let start = self.document.span.start + 1;
        (start..start, layout.first_members(&member))
    }
}
