//! Why a password is not a Google service-account key.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a password is not a service-account key. The message follows "…: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum KeyFault {
    /// It is the path of a file.
    #[error("the password is the path of a file, not its content")]
    Path,
    /// It is base64, which requires another user name.
    #[error("the password is base64")]
    Base64,
    /// It is JSON, although the user name says base64.
    #[error("the password is JSON, not base64")]
    NotBase64,
    /// It is base64 with line breaks.
    #[error("the base64 has line breaks")]
    Wrapped,
    /// It is not valid JSON, for example because it is truncated.
    #[error("the password is not valid JSON")]
    NotJson,
    /// It is a credential file of another type.
    #[error("the password is a credential file of another type")]
    OtherType,
    /// It lacks a required field of a key file.
    #[error("the key file lacks private_key or client_email")]
    Incomplete,
}

impl KeyFault {
    /// What to do about it.
    pub fn fix(self) -> &'static str {
        match self {
            Self::Path => {
                "unset `<NAME>_CONTAINER_REGISTRY_PASSWORD` and set `<NAME>_CONTAINER_REGISTRY_PASSWORD_FILE` to the path"
            }
            Self::Base64 => "set the user to _json_key_base64",
            Self::NotBase64 => "set the user to _json_key",
            Self::Wrapped => "encode the key file on one line with `base64 -w0`",
            Self::NotJson => "set the password to the whole content of the key file, from { to }",
            Self::OtherType | Self::Incomplete => {
                "create a key with `gcloud iam service-accounts keys create key.json --iam-account=ACCOUNT`, and set the password to its content"
            }
        }
    }
}
