//! One plain entry of `auths`: how docker and podman write it, and what it says.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_PAD_INDIFFERENT};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::domain::credentials::credential::{Credential, IDENTITY_TOKEN_USER};

/// The entry that holds a credential, as JSON on one line.
pub(crate) fn plain_entry(credential: &Credential) -> Zeroizing<String> {
    let secret = credential.secret.reveal();
    Zeroizing::new(if credential.is_identity_token() {
        format!(r#"{{"identitytoken": {}}}"#, serde_json::Value::from(secret))
    } else {
        let pair = Zeroizing::new(format!("{}:{secret}", credential.user));
        format!(r#"{{"auth": "{}"}}"#, STANDARD.encode(pair.as_bytes()))
    })
}

/// What an entry says; `None` for docker's empty markers and whatever else holds no credential.
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
    // Old clients padded the password with NULs; docker and podman drop them.
    credential(user, secret.trim_end_matches('\0'))
}

/// A short mark by which an entry we wrote is known again. Short on purpose: one in four billion
/// strangers would pass for ours, and nobody learns a password from 32 bits.
pub(super) fn fingerprint(credential: &Credential) -> u32 {
    let (user, secret) = (credential.user.as_bytes(), credential.secret.reveal().as_bytes());
    let bytes = user.iter().chain(b"\0").chain(secret);
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn credential(user: &str, secret: &str) -> Option<Credential> {
    let complete = !user.is_empty() && !secret.is_empty();
    complete.then(|| Credential::plain(user, secret.into()))
}

/// Borrowed where no escape forces a copy, so that few copies of a password are made.
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
