//! Formats and parses one plain entry of `auths`, as docker and podman write it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_PAD_INDIFFERENT};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::json_document::Object;
use crate::domain::credentials::credential::{Credential, IDENTITY_TOKEN_USER};
use crate::domain::credentials::secret_json::to_json;

/// The entry for a credential, as JSON on one line.
pub(super) fn plain_entry(credential: &Credential) -> Zeroizing<String> {
    let secret = credential.secret.reveal();
    // `concat` allocates once. A text that grows leaves copies behind.
    Zeroizing::new(if credential.is_identity_token() {
        [r#"{"identitytoken": "#, &quoted(secret), "}"].concat()
    } else {
        let pair = Zeroizing::new([&credential.user, ":", secret].concat());
        [r#"{"auth": ""#, &encoded(&pair), r#""}"#].concat()
    })
}

/// A text as JSON.
fn quoted(text: &str) -> Zeroizing<String> {
    // A text can always be represented.
    to_text(to_json(&text).unwrap_or_default())
}

/// A text in base64.
fn encoded(text: &str) -> Zeroizing<String> {
    let length = base64::encoded_len(text.len(), true).unwrap_or_default();
    let mut encoded = Zeroizing::new(vec![0; length]);
    // The length is exact.
    let _ = STANDARD.encode_slice(text, &mut encoded);
    to_text(encoded)
}

fn to_text(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8(std::mem::take(&mut *bytes)).unwrap_or_default())
}

/// Parses an entry; `None` for docker's empty markers and anything else without a credential.
pub(super) fn parse_entry(json: &str) -> Option<Credential> {
    let fields: Fields<'_> = serde_json::from_str(json).ok()?;
    if !fields.identity_token.is_empty() {
        return Some(Credential::plain(IDENTITY_TOKEN_USER, (&*fields.identity_token).into()));
    }
    if fields.auth.is_empty() {
        return credential(&fields.username, &fields.password);
    }
    let pair = Zeroizing::new(STANDARD_PAD_INDIFFERENT.decode(fields.auth.trim()).ok()?);
    let (user, secret) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    // Old clients padded the password with NULs, which docker and podman strip.
    credential(user, secret.trim_end_matches('\0'))
}

/// The user and secret of an entry as one text.
pub(super) fn login_of(json: &str) -> Option<Zeroizing<String>> {
    let login = parse_entry(json)?;
    Some(Zeroizing::new([&login.user, "\0", login.secret.reveal()].concat()))
}

/// docker leaves an empty object for a server whose credential is kept by a helper.
pub(super) fn is_marker(json: &str) -> bool {
    Object::parse(json).is_ok_and(|object| object.members.is_empty())
}

fn credential(user: &str, secret: &str) -> Option<Credential> {
    let complete = !user.is_empty() && !secret.is_empty();
    complete.then(|| Credential::plain(user, secret.into()))
}

/// Borrows unless escapes force a copy, to make few copies of a password.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow)]
    auth: Cow<'a, str>,
    #[serde(borrow, rename = "identitytoken")]
    identity_token: Cow<'a, str>,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    password: Cow<'a, str>,
}
