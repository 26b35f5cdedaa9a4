//! The docker configuration as a text: what we change in it, and what it says.
//!
//! The file belongs to its user and is shared with programs that do not lock it. So nothing here
//! writes the file anew from a model: an edit changes the bytes of our own entries and no others.

mod auth_entry;
mod cred_helpers;
pub mod export;
mod json_document;
mod layout;
mod lookup;
mod plain_logins;
mod section;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::json_document::{BLANKS, BYTE_ORDER_MARK, JsonFault, Object};
use self::section::{NotEntries, Section};
use super::credentials::credential::Credential;
use super::reasons::PublishReason;

pub(crate) use self::auth_entry::plain_entry;
pub use self::lookup::{credentials_store, holds_login, plain_auth};

/// The name under which docker knows our helper: it runs `docker-credential-registry-agent`.
pub const HELPER: &str = "registry-agent";

/// What the configuration should hold of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The keys that should name our helper in `credHelpers`.
    pub helpers: BTreeSet<String>,
    /// The logins that should stand in `auths` as they are.
    pub auths: BTreeMap<String, Credential>,
}

/// What the configuration holds of ours, to be remembered until the next edit. Holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct PublishedEntries {
    /// The keys that name our helper.
    pub helpers: BTreeSet<String>,
    /// The keys of our plain logins.
    pub auths: BTreeMap<String, Mark>,
    /// What stood for `credHelpers` when it had no entry, if it stood there at all.
    pub empty_helpers: Option<String>,
    /// What stood for `auths` when it had no entry, if it stood there at all.
    pub empty_auths: Option<String>,
}

/// How a plain login of ours is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mark {
    /// Tell our entry from one that a user put in its place: of the entry that is there, and of the
    /// one it may be about to become.
    pub fingerprints: BTreeSet<u32>,
    /// The empty marker of docker's that stood there before, to be put back.
    pub marker: Option<String>,
}

impl PublishedEntries {
    /// The entries that are in this and not in `other`.
    #[must_use]
    pub fn without(mut self, other: &Self) -> Self {
        self.helpers.retain(|key| !other.helpers.contains(key));
        self.auths.retain(|key, _| !other.auths.contains_key(key));
        self.empty_helpers = self.empty_helpers.filter(|_| !self.helpers.is_empty());
        self.empty_auths = self.empty_auths.filter(|_| !self.auths.is_empty());
        self
    }

    /// What is ours before an edit or after it, whichever the file shows.
    #[must_use]
    pub fn or(mut self, after: &Self) -> Self {
        self.helpers.extend(after.helpers.iter().cloned());
        for (key, mark) in &after.auths {
            let both = self.auths.entry(key.clone()).or_insert_with(|| mark.clone());
            both.fingerprints.extend(&mark.fingerprints);
            both.marker.clone_from(&mark.marker);
        }
        self.empty_helpers = after.empty_helpers.clone().or(self.empty_helpers);
        self.empty_auths = after.empty_auths.clone().or(self.empty_auths);
        self
    }
}

/// The outcome of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The new text; `None` when nothing changes.
    pub text: Option<String>,
    /// The keys that were ours and had been dropped by somebody else.
    pub repaired: Vec<String>,
    /// What stands in our way and is not ours to change.
    pub conflicts: Vec<PublishReason>,
    /// What is ours in the new text.
    pub ours: PublishedEntries,
}

/// Edits the text of the file at `path` (used in reasons only) so that it holds what is wanted of
/// ours, no longer holds what was ours and is not wanted, and is otherwise the same, byte for byte.
/// An empty text is an empty configuration.
///
/// # Errors
/// When the text is not a JSON object, or holds something else where entries should be.
pub fn edit(
    path: &str,
    text: &str,
    wanted: &Wanted,
    ours: &PublishedEntries,
) -> Result<Edit, PublishReason> {
    let blank = text.trim_start_matches(BYTE_ORDER_MARK).trim_matches(BLANKS).is_empty();
    let start = match (blank, text.starts_with(BYTE_ORDER_MARK)) {
        (false, _) => text,
        (true, false) => "{\n}\n",
        (true, true) => "\u{feff}{\n}\n",
    };
    let mut edit =
        Edit { text: None, repaired: Vec::new(), conflicts: Vec::new(), ours: ours.clone() };
    if text.starts_with(BYTE_ORDER_MARK) {
        edit.conflicts.push(PublishReason::ByteOrderMark { path: path.to_owned() });
    }
    let with_helpers = cred_helpers::edit(path, start, wanted, &mut edit)?;
    let edited = with_helpers.as_deref().unwrap_or(start);
    let with_auths = plain_logins::edit(path, edited, wanted, &mut edit)?;
    edit.text = with_auths.or(with_helpers);
    Ok(edit)
}

/// The text as an object, or why it is none.
fn parse<'a>(path: &str, text: &'a str) -> Result<Object<'a>, PublishReason> {
    let part = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    Object::parse(text, part)
        .map_err(|JsonFault(fault)| PublishReason::Malformed { path: path.to_owned(), fault })
}

/// A section of it, or why it cannot be edited.
fn section<'a>(
    path: &str,
    text: &'a str,
    document: &'a Object<'a>,
    name: &'static str,
) -> Result<Section<'a>, PublishReason> {
    Section::of(text, document, name).map_err(|NotEntries| PublishReason::NotEntries {
        path: path.to_owned(),
        name: name.to_owned(),
    })
}
