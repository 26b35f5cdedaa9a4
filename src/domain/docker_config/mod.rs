//! Reads and edits the text of the docker configuration.
//!
//! The file belongs to its user and is shared with programs that do not lock it. Therefore it is
//! never regenerated from a model: an edit changes only the bytes of our own entries.

mod auth_entry;
pub mod export;
mod json_document;
mod lookup;
mod section;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::auth_entry::plain_entry;
use self::json_document::{BLANKS, BYTE_ORDER_MARK, Object};
use self::lookup::{other_helpers, store_of};
use self::section::{AUTHS, CRED_HELPERS, NotEntries};
use super::credentials::credential::Credential;
use super::reasons::PublishReason;

pub use self::lookup::{
    LoginPlace, OwnEntries, OwnEntry, check, credentials_store, entries_below,
    entry_for_repository, environment_logins, keys_with_our_helper, names_our_helper, own_entries,
    place_of, plain_auth,
};

/// The name under which docker knows our helper: it runs `docker-credential-registry-agent`.
pub const HELPER: &str = "registry-agent";

/// Our desired entries in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The keys that should use our helper in `credHelpers`.
    pub helpers: BTreeSet<String>,
    /// The logins to write to `auths` in plain text.
    pub auths: BTreeMap<String, Credential>,
}

/// Our entries in the configuration, remembered until the next edit. Contains no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct PublishedEntries {
    /// The keys that use our helper.
    pub helpers: BTreeSet<String>,
    /// The keys of our plain logins.
    pub auths: BTreeMap<String, PublishedLogin>,
    /// The original value of an empty `credHelpers`, if it existed.
    pub empty_helpers: Option<String>,
    /// The original value of an empty `auths`, if it existed.
    pub empty_auths: Option<String>,
}

/// Identifies a plain login that we wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PublishedLogin {
    /// Distinguish our entry from one that a user put in its place. There is one for the current
    /// entry, and one for the entry that is about to replace it.
    pub fingerprints: BTreeSet<u32>,
    /// docker's empty marker that our entry replaced, to be restored.
    pub marker: Option<String>,
}

impl PublishedEntries {
    /// The entries in `self` that are not in `other`.
    #[must_use]
    pub fn without(mut self, other: &Self) -> Self {
        self.helpers.retain(|key| !other.helpers.contains(key));
        self.auths.retain(|key, _| !other.auths.contains_key(key));
        self.empty_helpers = self.empty_helpers.filter(|_| !self.helpers.is_empty());
        self.empty_auths = self.empty_auths.filter(|_| !self.auths.is_empty());
        self
    }

    /// Our entries before or after an edit, whichever of the two the file contains.
    #[must_use]
    pub fn or(mut self, after: &Self) -> Self {
        self.helpers.extend(after.helpers.iter().cloned());
        for (key, login) in &after.auths {
            let both = self.auths.entry(key.clone()).or_insert_with(|| login.clone());
            both.fingerprints.extend(&login.fingerprints);
            both.marker.clone_from(&login.marker);
        }
        self.empty_helpers = after.empty_helpers.clone().or(self.empty_helpers);
        self.empty_auths = after.empty_auths.clone().or(self.empty_auths);
        self
    }
}

/// The result of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The new text; `None` if nothing changes.
    pub text: Option<String>,
    /// Our keys that another program had removed.
    pub repaired: Vec<String>,
    /// Existing entries that block ours and that we must not change.
    pub conflicts: Vec<PublishReason>,
    /// Our entries in the new text.
    pub ours: PublishedEntries,
}

/// Edits the text of the file at `path` (used only in reasons): adds our desired entries and
/// removes our obsolete ones. All other bytes stay the same. An empty text counts as an empty
/// configuration.
///
/// # Errors
/// If the text is not a JSON object, or if `credHelpers` or `auths` is not an object.
pub fn edit(
    path: &str,
    text: &str,
    wanted: &Wanted,
    ours: &PublishedEntries,
) -> Result<Edit, PublishReason> {
    let not_entries = |NotEntries(name)| PublishReason::NotEntries {
        path: path.to_owned(),
        name: name.to_owned(),
    };
    let has_byte_order_mark = text.starts_with(BYTE_ORDER_MARK);
    let is_blank = text.trim_start_matches(BYTE_ORDER_MARK).trim_matches(BLANKS).is_empty();
    let start = match (is_blank, has_byte_order_mark) {
        (false, _) => text,
        (true, false) => "{\n}\n",
        (true, true) => "\u{feff}{\n}\n",
    };
    let mut document = Object::parse(start)
        .map_err(|fault| PublishReason::Malformed { path: path.to_owned(), fault })?;
    let mut ours = ours.clone();

    let entry = Zeroizing::new(format!("\"{HELPER}\""));
    // An entry for our helper that gives way to a plain login is ours, remembered or not.
    let known = ours.helpers.iter().chain(wanted.auths.keys());
    let known = known.map(|key| (key.clone(), CRED_HELPERS.published(&entry, None))).collect();
    let helpers = wanted.helpers.iter().map(|key| (key.clone(), entry.clone())).collect();
    let helpers = CRED_HELPERS
        .update(path, &mut document, &helpers, &known, &mut ours.empty_helpers)
        .map_err(not_entries)?;
    ours.helpers = helpers.ours.into_keys().collect();
    let passed_over = passed_over(path, &document, wanted).map_err(not_entries)?;

    let logins = wanted.auths.iter().map(|(key, login)| (key.clone(), plain_entry(login)));
    let auths = AUTHS
        .update(path, &mut document, &logins.collect(), &ours.auths, &mut ours.empty_auths)
        .map_err(not_entries)?;
    ours.auths = auths.ours;

    let byte_order_mark =
        has_byte_order_mark.then(|| PublishReason::ByteOrderMark { path: path.to_owned() });
    let taken = helpers.conflicts.into_values().chain(auths.conflicts.into_values());
    let conflicts = byte_order_mark.into_iter().chain(taken).chain(passed_over).collect();
    let repaired = helpers.repaired.into_iter().chain(auths.repaired).collect();
    let mut text = document.text();
    let text = (*text != start).then(|| std::mem::take(&mut *text));
    Ok(Edit { text, repaired, conflicts, ours })
}

/// What makes docker ignore plain logins.
fn passed_over(
    path: &str,
    document: &Object<'_>,
    wanted: &Wanted,
) -> Result<Vec<PublishReason>, NotEntries> {
    if wanted.auths.is_empty() {
        return Ok(Vec::new());
    }
    let path = || path.to_owned();
    let helpers = other_helpers(document)?.into_iter();
    let helpers = helpers.filter(|(key, _)| wanted.auths.contains_key(key));
    let reasons =
        helpers.map(|(key, helper)| PublishReason::OtherHelper { path: path(), key, helper });
    let store = store_of(document).map(|store| PublishReason::StoreFirst { path: path(), store });
    Ok(reasons.chain(store).collect())
}
