//! Detects the formatting of a document, so that new members match existing ones.

use super::json_document::Object;

/// The white space and separators around the members of an object.
pub(super) struct Layout<'a> {
    /// Before a member's key: a line end and indentation, or blanks, or an empty string.
    before_key: &'a str,
    /// Between key and value, including the colon.
    colon: &'a str,
    /// The additional indentation of a nested object.
    step: &'a str,
}

impl<'a> Layout<'a> {
    /// The layout of an object, taken from its last member. An empty object is formatted as docker
    /// does if its brackets are on separate lines, and on one line otherwise.
    pub(super) fn of(text: &'a str, object: &Object<'a>) -> Self {
        let (Some(last), Some(blanks)) = (object.members.last(), object.blanks_before_last(text))
        else {
            return match text[object.span.clone()].find('\n') {
                Some(_) if text.contains("\r\n") => {
                    Self { before_key: "\r\n\t", colon: ": ", step: "\t" }
                }
                Some(_) => Self { before_key: "\n\t", colon: ": ", step: "\t" },
                None => Self { before_key: "", colon: ": ", step: "" },
            };
        };
        let line = blanks.rfind('\n');
        let start = line.map_or(0, |at| if blanks[..at].ends_with('\r') { at - 1 } else { at });
        Self {
            before_key: &blanks[start..],
            colon: &text[last.key_span.end..last.value_span.start],
            step: line.map_or("", |at| &blanks[at + 1..]),
        }
    }

    /// Formats members that follow another member. Keys and values are JSON.
    pub(super) fn more_members(&self, members: &[(String, String)]) -> String {
        let mut out = String::new();
        for (key, value) in members {
            out.extend([",", self.before_key, key, self.colon, value]);
        }
        out
    }

    /// Formats the first members of an object.
    pub(super) fn first_members(&self, members: &[(String, String)]) -> String {
        self.more_members(members).split_off(1)
    }

    /// Formats an object as the value of a member with this layout.
    pub(super) fn object(&self, members: &[(String, String)]) -> String {
        let before_key = format!("{}{}", self.before_key, self.step);
        let inner = Layout { before_key: &before_key, ..*self }.first_members(members);
        if self.before_key.contains('\n') {
            format!("{{{inner}{}}}", self.before_key)
        } else {
            format!("{{{}}}", inner.trim_start())
        }
    }
}
