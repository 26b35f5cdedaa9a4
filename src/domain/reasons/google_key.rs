//! What can be wrong with a Google service-account key.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a password is no service-account key. The sentences follow "…: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum KeyFault {
    /// It is the path of a file.
    #[error("this is a file's name, not its content")]
    Path,
    /// It is base64, which the other user is for.
    #[error("this is base64")]
    Base64,
    /// It is JSON, though the user says base64.
    #[error("this is JSON, not base64")]
    NotBase64,
    /// It is base64 that was broken into lines.
    #[error("this is base64 in several lines")]
    Wrapped,
    /// It is not JSON, perhaps half of it.
    #[error("this is not JSON")]
    NotJson,
    /// It is a credential file of another type.
    #[error("this is a credential file of another type")]
    OtherType,
    /// A field is missing that a key has.
    #[error("this lacks the private key or the account's address")]
    Incomplete,
}

impl KeyFault {
    /// What to do about it.
    pub fn fix(self) -> &'static str {
        match self {
            Self::Path => "set _PASSWORD to the file's content, or _PASSWORD_FILE to its path",
            Self::Base64 => "set the user to _json_key_base64",
            Self::NotBase64 => "set the user to _json_key",
            Self::Wrapped => "encode the key file in one line, with `base64 -w0`",
            Self::NotJson => "set the password to the whole content of the key file, from { to }",
            Self::OtherType | Self::Incomplete => {
                "make a key with `gcloud iam service-accounts keys create`, and set the password to its content"
            }
        }
    }
}
