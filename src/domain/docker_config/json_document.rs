//! A configuration file as text with known places: where each member's key and value stand. Edits
//! are made in the text, so whatever is not edited stays as its writer left it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON object in a text.
#[derive(Debug)]
pub(super) struct Object<'a> {
    /// Where it stands, braces included.
    pub(super) span: Range<usize>,
    /// Its members in their order, duplicates too.
    pub(super) members: Vec<Member<'a>>,
}

/// One member of an object.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// The key, its escapes resolved.
    pub(super) key: Cow<'a, str>,
    /// Where the key stands, quotes included.
    pub(super) key_span: Range<usize>,
    /// The value as it is written.
    pub(super) value: &'a str,
    /// Where the value stands.
    pub(super) value_span: Range<usize>,
}

/// A text that is not an object. Says where, never what: the text may hold passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonFault(pub(super) String);

/// A change of a text: what stands in the range gives way to the new text.
pub(super) type Splice = (Range<usize>, String);

/// The white space of JSON (RFC 8259, section 2).
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// What some editors put before the first character.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

impl<'a> Object<'a> {
    /// The object that `part`, a slice of `whole`, consists of; its places are places in `whole`.
    pub(super) fn parse(whole: &'a str, part: &'a str) -> Result<Self, JsonFault> {
        let object = part.trim_matches(BLANKS);
        if !object.starts_with('{') {
            return Err(JsonFault("no object".to_owned()));
        }
        let RawMembers(raw) = serde_json::from_str(part).map_err(|error| {
            JsonFault(format!("line {}, column {}", error.line(), error.column()))
        })?;
        let members = raw.into_iter().map(|(key, value)| Member::new(whole, key, value)).collect();
        Ok(Self { span: span_in(whole, object), members })
    }

    /// The white space between the last member's key and the comma or brace before it.
    pub(super) fn blanks_before_last(&self, whole: &'a str) -> Option<&'a str> {
        let (last, others) = self.members.split_last()?;
        let after = others.last().map_or(self.span.start, |previous| previous.value_span.end);
        whole[after..last.key_span.start].rsplit(['{', ',']).next()
    }

    /// The changes that take out the members at these indexes, with one comma each.
    pub(super) fn without(&self, indexes: &[usize]) -> Vec<Splice> {
        if indexes.len() == self.members.len() {
            let last = self.members.last().map_or(self.span.start + 1, |m| m.value_span.end);
            return vec![(self.span.start + 1..last, String::new())];
        }
        let mut kept_before = None;
        let mut splices = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            if !indexes.contains(&index) {
                kept_before = Some(index);
            } else if kept_before.is_some() {
                let start = self.members[index - 1].value_span.end;
                splices.push((start..member.value_span.end, String::new()));
            } else {
                let end = self.members[index + 1].key_span.start;
                splices.push((member.key_span.start..end, String::new()));
            }
        }
        splices
    }
}

impl<'a> Member<'a> {
    fn new(whole: &str, key: &'a RawValue, value: &'a RawValue) -> Self {
        Self {
            key: unescaped(key.get()),
            key_span: span_in(whole, key.get()),
            value: value.get(),
            value_span: span_in(whole, value.get()),
        }
    }
}

/// The text with the changes made, which must not overlap.
pub(super) fn spliced(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|(range, _)| (range.start, range.end));
    let mut out =
        String::with_capacity(text.len() + splices.iter().map(|(_, n)| n.len()).sum::<usize>());
    let mut copied = 0;
    for (range, new) in splices {
        out.push_str(&text[copied..range.start]);
        out.push_str(&new);
        copied = range.end;
    }
    out.push_str(&text[copied..]);
    out
}

/// The text that a JSON string stands for; itself where it stands for none (a lone surrogate).
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    serde_json::from_str(quoted).map_or(Cow::Borrowed(inside), Cow::Owned)
}

fn span_in(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// Keys and values as they are written. Values are only walked over, whatever their depth.
struct RawMembers<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = RawMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawMembers(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
