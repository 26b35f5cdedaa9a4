//! Recognizable secrets, and the search for one in whatever form a program may have left it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Fewer characters may occur by chance.
const SHORTEST: usize = 12;

/// The forms of one secret: plain, in JSON, percent-encoded, in hexadecimal, and as the part of a longer
/// text in base64 that does not depend on what surrounds it.
pub(crate) struct Canary {
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Canary {
    pub(crate) fn new(secret: &str) -> Self {
        assert!(secret.len() >= SHORTEST, "too short to recognize");
        let json = serde_json::to_string(secret).unwrap();
        let mut forms = vec![
            ("plain", secret.as_bytes().to_vec()),
            ("JSON", json.trim_matches('"').as_bytes().to_vec()),
            ("percent", utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string().into_bytes()),
            ("hexadecimal", hex::encode(secret).into_bytes()),
        ];
        for skipped in 0..3 {
            let rest = &secret.as_bytes()[skipped..];
            let groups = &rest[..rest.len() / 3 * 3];
            forms.push(("base64", STANDARD_NO_PAD.encode(groups).into_bytes()));
            forms.push(("base64url", URL_SAFE_NO_PAD.encode(groups).into_bytes()));
        }
        Self { forms }
    }

    /// The form in which the secret is in `content`.
    pub(crate) fn form_in(&self, content: &[u8]) -> Option<&'static str> {
        self.forms.iter().find(|(_, form)| contains(content, form)).map(|(name, _)| *name)
    }
}

/// The first byte is searched for first, because a window for each byte of a process's memory takes long.
fn contains(content: &[u8], form: &[u8]) -> bool {
    let first = form[0];
    let mut rest = content;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        rest = &rest[at..];
        if rest.starts_with(form) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = "canary/\"quoted\"+of a secret~";
    let canary = Canary::new(secret);
    for before in ["", "u:", "us:", "user:"] {
        let text = format!("{before}{secret}:after");
        assert_eq!(canary.form_in(STANDARD_NO_PAD.encode(&text).as_bytes()), Some("base64"));
    }
    for (text, form) in [
        (secret.to_owned(), "plain"),
        (serde_json::json!({ "p": secret }).to_string(), "JSON"),
        (format!("?p={}", utf8_percent_encode(secret, NON_ALPHANUMERIC)), "percent"),
        (hex::encode(secret), "hexadecimal"),
    ] {
        assert_eq!(canary.form_in(text.as_bytes()), Some(form), "{text}");
    }
    assert_eq!(canary.form_in(b"canary/ of another secret"), None);
}
