//! A JSON object as the pieces of its text. Edits replace single pieces, so that everything else
//! stays as written.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// A JSON object. Its text is `open`, the pieces of each member, and `close`.
#[derive(Debug)]
pub(super) struct Object<'a> {
    /// The text up to the opening brace, including it.
    open: &'a str,
    /// The members in order, including duplicates.
    pub(super) members: Vec<Member<'a>>,
    /// The text after the last member.
    close: Cow<'a, str>,
}

/// One member of an object, with the text between it and the previous one.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// The text before the key: white space, and a comma unless it is the first member.
    lead: Cow<'a, str>,
    /// The key as written.
    quoted_key: Cow<'a, str>,
    /// The key, unescaped.
    pub(super) key: Cow<'a, str>,
    /// The text between key and value, including the colon.
    colon: Cow<'a, str>,
    value: &'a str,
    new_value: Option<Zeroizing<String>>,
}

/// The white space and separators around the members of an object.
pub(super) struct Layout {
    /// Before a key: a line end and indentation, or blanks, or an empty string.
    before_key: String,
    /// Between key and value, including the colon.
    colon: String,
}

/// The white space of JSON (RFC 8259, section 2).
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The byte order mark that some editors put at the start of a file.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

impl<'a> Object<'a> {
    /// Parses a text that contains one object, possibly after a byte order mark. Values are skipped,
    /// not parsed, at any depth.
    ///
    /// # Errors
    /// What is wrong, to follow the path of the file: the position of the fault and no content,
    /// because the text may hold passwords.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let json = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        if !json.trim_start_matches(BLANKS).starts_with('{') {
            return Err("is not a JSON object".to_owned());
        }
        serde_json::from_str::<IgnoredAny>(json).map_err(|error| {
            format!("is not valid JSON (line {}, column {})", error.line(), error.column())
        })?;
        let (open, mut rest) = text.split_at(text.find('{').map_or(0, |brace| brace + 1));
        let mut members = Vec::new();
        while let Some(member) = Member::cut_from(&mut rest) {
            members.push(member);
        }
        Ok(Self { open, members, close: rest.into() })
    }

    /// An object without members. `null` is one too, as docker reads it.
    pub(super) fn empty(text: &'a str) -> Self {
        Self { open: "", members: Vec::new(), close: text.into() }
    }

    /// The text with all edits.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let members = self.members.iter();
        let members = members.flat_map(|m| [&*m.lead, &*m.quoted_key, &*m.colon, m.value()]);
        let pieces: Vec<_> = [self.open].into_iter().chain(members).chain([&*self.close]).collect();
        Zeroizing::new(pieces.concat())
    }

    /// Adds a member at the end. `value` is JSON.
    pub(super) fn append(&mut self, key: &str, value: Zeroizing<String>, layout: &Layout) {
        let blanks = &layout.before_key;
        let lead = match self.members.is_empty() {
            true if !blanks.contains('\n') => String::new(),
            true => blanks.clone(),
            false => format!(",{blanks}"),
        };
        self.members.push(Member {
            lead: lead.into(),
            quoted_key: serde_json::Value::from(key).to_string().into(),
            key: key.to_owned().into(),
            colon: layout.colon.clone().into(),
            value: "",
            new_value: Some(value),
        });
    }

    /// Removes a member and one comma.
    pub(super) fn remove(&mut self, index: usize) {
        let Member { lead, .. } = self.members.remove(index);
        if let (0, Some(first)) = (index, self.members.first_mut()) {
            first.lead = lead;
        }
    }

    /// The layout of the last member. An empty object is formatted as docker does if its brackets
    /// are on separate lines, and on one line otherwise.
    pub(super) fn layout(&self) -> Layout {
        let Some(last) = self.members.last() else {
            let inside = self.close.split('}').next().unwrap_or_default();
            let before_key = match inside.contains('\n') {
                true if self.text().contains("\r\n") => "\r\n\t",
                true => "\n\t",
                false => "",
            };
            return Layout { before_key: before_key.to_owned(), colon: ": ".to_owned() };
        };
        let blanks = last.lead.rsplit(',').next().unwrap_or_default();
        let line = blanks.rfind('\n');
        let start = line.map_or(0, |at| at - usize::from(blanks[..at].ends_with('\r')));
        Layout { before_key: blanks[start..].to_owned(), colon: last.colon.clone().into_owned() }
    }
}

impl<'a> Member<'a> {
    /// The value as JSON.
    pub(super) fn value(&self) -> &str {
        self.new_value.as_ref().map_or(self.value, |new| new)
    }

    /// Replaces the value. `value` is JSON.
    pub(super) fn set(&mut self, value: Zeroizing<String>) {
        self.new_value = Some(value);
    }

    /// Cuts the next member off a valid object.
    fn cut_from(rest: &mut &'a str) -> Option<Self> {
        let mut after = *rest;
        let lead = cut_blanks(&mut after, ',');
        let quoted_key = cut_value(&mut after)?;
        let colon = cut_blanks(&mut after, ':');
        let value = cut_value(&mut after)?;
        *rest = after;
        Some(Self {
            lead: lead.into(),
            quoted_key: quoted_key.into(),
            key: unescaped(quoted_key),
            colon: colon.into(),
            value,
            new_value: None,
        })
    }
}

impl Layout {
    /// An empty object for the value of a member with this layout, and the layout of its members.
    pub(super) fn nested<'a>(&self) -> (Object<'a>, Self) {
        let step = self.before_key.rsplit_once('\n').map(|(_, step)| step);
        let close = format!("{}}}", step.map_or("", |_| &self.before_key));
        let before_key = format!("{}{}", self.before_key, step.unwrap_or_default());
        let object = Object { open: "{", members: Vec::new(), close: close.into() };
        (object, Self { before_key, colon: self.colon.clone() })
    }
}

/// Cuts off white space around at most one separator.
fn cut_blanks<'a>(rest: &mut &'a str, separator: char) -> &'a str {
    let after = rest.trim_start_matches(BLANKS);
    let after = after.strip_prefix(separator).unwrap_or(after).trim_start_matches(BLANKS);
    let (blanks, after) = rest.split_at(rest.len() - after.len());
    *rest = after;
    blanks
}

fn cut_value<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let value: &RawValue = serde_json::Deserializer::from_str(rest).into_iter().next()?.ok()?;
    *rest = &rest[value.get().len()..];
    Some(value.get())
}

/// Unescapes a JSON string. Returns it unchanged if it cannot be unescaped (a lone surrogate).
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    serde_json::from_str(quoted).map_or(Cow::Borrowed(inside), Cow::Owned)
}
