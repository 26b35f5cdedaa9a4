//! A JSON document as text with the positions of its keys and values. Edits change only the
//! affected text, so everything else stays as written.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON object within a text.
#[derive(Debug)]
pub(super) struct Object<'a> {
    /// The range of the object, including its braces.
    pub(super) span: Range<usize>,
    /// Its members in order, including duplicates.
    pub(super) members: Vec<Member<'a>>,
}

/// One member of an object.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// The key, unescaped.
    pub(super) key: Cow<'a, str>,
    /// The range of the key, including its quotes.
    pub(super) key_span: Range<usize>,
    /// The raw JSON of the value.
    pub(super) value: &'a str,
    /// The range of the value.
    pub(super) value_span: Range<usize>,
}

/// The text is not an object. Contains the position but no content, because the text may hold
/// passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonFault(pub(super) String);

/// An edit: the range to replace and the new text.
pub(super) type Splice = (Range<usize>, String);

/// The white space of JSON (RFC 8259, section 2).
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The byte order mark that some editors put at the start of a file.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

impl<'a> Object<'a> {
    /// Parses `part`, a slice of `whole` that contains one object. Positions are relative to
    /// `whole`.
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

    /// The edits that remove the members at these indexes, each with one comma.
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

/// Applies edits to the text. They must not overlap.
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

/// Unescapes a JSON string. Returns it unchanged if it cannot be unescaped (a lone surrogate).
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

/// The raw keys and values. Values are skipped, not parsed, at any depth.
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
