//! How a package client sends a credential: the value of its `Authorization` header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::credential::Credential;
use super::secret::Secret;

/// The scheme of an `Authorization` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthScheme {
    /// The user and the secret (RFC 7617).
    Basic,
    /// The secret as a token (RFC 6750).
    Bearer,
    /// The secret alone.
    Raw,
}

impl AuthScheme {
    /// The scheme that a value of `_SCHEME` names, in any case.
    pub fn named(text: &str) -> Option<Self> {
        let all = [Self::Basic, Self::Bearer, Self::Raw];
        all.into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(text.trim()))
    }

    /// The scheme that a challenge with this name in lower case asks for. Cargo sends a token as it is.
    pub fn of_challenge(name: &str) -> Option<Self> {
        match name {
            "basic" => Some(Self::Basic),
            "bearer" => Some(Self::Bearer),
            "cargo" => Some(Self::Raw),
            _ => None,
        }
    }

    /// Its name in `_SCHEME` and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::Raw => "raw",
        }
    }

    /// The value of the header.
    pub fn authorization(self, credential: &Credential) -> Secret {
        let secret = credential.secret.reveal();
        match self {
            Self::Basic => {
                let pair = Zeroizing::new(format!("{}:{secret}", credential.user));
                let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
                Secret::new(format!("Basic {}", *encoded))
            }
            Self::Bearer => Secret::new(format!("Bearer {secret}")),
            Self::Raw => credential.secret.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_has_its_header() {
        let credential = Credential::plain("user", "pass:word".into());
        for (name, header) in [
            ("basic", "Basic dXNlcjpwYXNzOndvcmQ="),
            ("Bearer", "Bearer pass:word"),
            ("RAW", "pass:word"),
        ] {
            let scheme = AuthScheme::named(name).unwrap();
            assert_eq!(scheme.authorization(&credential).reveal(), header);
        }
        assert_eq!(AuthScheme::named("digest"), None);
    }
}
