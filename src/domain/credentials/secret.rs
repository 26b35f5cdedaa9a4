//! A value that must never be displayed.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};
use zeroize::Zeroizing;

/// A secret string: a password, a token, a key.
///
/// The type has no `Display` and no `Serialize`, its `Debug` is redacted, and its memory is zeroed
/// once the last clone is dropped. Clones share it. [`Secret::reveal`] is the only way to read it, so a search for that word finds every
/// place where a secret leaves its type.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes ownership of `text`; the caller keeps no copy.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// Decodes base64 of either alphabet, padded or not. `None` for anything else and for invalid
    /// UTF-8.
    pub fn from_base64(encoded: impl AsRef<[u8]>) -> Option<Self> {
        let encoded = encoded.as_ref();
        let bytes = STANDARD_PAD_INDIFFERENT
            .decode(encoded)
            .or_else(|_| URL_SAFE_PAD_INDIFFERENT.decode(encoded))
            .ok()?;
        std::str::from_utf8(&Zeroizing::new(bytes)).ok().map(Self::new)
    }

    /// The secret in plain text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the secret is an empty string.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.reveal().hash(state);
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_value() {
        let shown = format!("{:?}", Secret::new("canary"));
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn base64_is_decoded_in_either_alphabet_padded_or_not() {
        for encoded in ["w78/fg==", "w78/fg", "w78_fg==", "w78_fg"] {
            assert_eq!(Secret::from_base64(encoded), Some(Secret::new("ÿ?~")), "{encoded}");
        }
        // The last one has leftover bits, as unencoded passwords often do.
        for other in ["%%%", "w7/_fg", "/////w==", "hunter2"] {
            assert_eq!(Secret::from_base64(other), None, "{other}");
        }
    }
}
