//! One member of the configuration that holds entries (`credHelpers`, `auths`): its entries as they
//! stand, and changes to some of them that leave every other byte alone.

use std::collections::BTreeSet;

use super::json_document::{Object, Splice};
use super::layout::Layout;

/// A section of a document, which may stand there more than once, or not at all.
///
/// docker reads its members by Go's rules: names in any case, and the entries of a second object of
/// the same name come on top of the first. Most other readers take the last of the exact name. An
/// entry is added to the last of the exact name, which serves both.
pub(super) struct Section<'a> {
    text: &'a str,
    document: &'a Object<'a>,
    name: &'static str,
    places: Vec<Place<'a>>,
    removed: BTreeSet<EntryId>,
    replaced: Vec<(EntryId, String)>,
    added: Vec<(String, String)>,
}

/// Names one entry of a section.
pub(super) type EntryId = (usize, usize);

/// One entry as it stands.
pub(super) struct Entry<'s> {
    pub(super) id: EntryId,
    pub(super) key: &'s str,
    /// The value as it is written.
    pub(super) value: &'s str,
    /// Whether its section has the exact name, so that every reader sees it.
    pub(super) exact: bool,
}

/// An object of the section's name.
struct Place<'a> {
    member: usize,
    exact: bool,
    object: Object<'a>,
}

/// A section of the right name that holds no entries but something else.
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

    /// All entries, in the order in which they override each other.
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

    /// The entry that counts for a key.
    pub(super) fn entry(&self, key: &str) -> Option<Entry<'_>> {
        self.entries().rfind(|entry| entry.key == key)
    }

    pub(super) fn remove(&mut self, id: EntryId) {
        self.removed.insert(id);
    }

    /// Gives an entry another value, in JSON.
    pub(super) fn replace(&mut self, id: EntryId, value: String) {
        self.replaced.push((id, value));
    }

    /// Adds an entry with a value in JSON.
    pub(super) fn add(&mut self, key: &str, value: String) {
        self.added.push((serde_json::Value::from(key).to_string(), value));
    }

    /// The changes of the text. `bare` is what stood in the section's place when it had no entry and
    /// got its first from us (`{}`, `null`): noted then, and put back when our last entry goes. A
    /// section that was not there at all goes with our last entry.
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
