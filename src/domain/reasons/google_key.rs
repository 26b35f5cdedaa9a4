//! Why a password is not a Google service-account key.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::FixContext;
use crate::domain::declarations::variable::Field;

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
    /// What to do about it, for this login.
    pub fn fix(self, login: &FixContext) -> String {
        match self {
            Self::Path if login.has(Field::Password) => format!(
                "unset {} and {}",
                login.variable(Field::Password),
                login.set(&[(Field::PasswordFile, "that path")])
            ),
            Self::Base64 => login.set(&[(Field::User, "_json_key_base64")]),
            Self::NotBase64 => login.set(&[(Field::User, "_json_key")]),
            Self::Wrapped => {
                login.set(&[(Field::Password, "the output of `base64 -w0 KEY.json`, which is one line")])
            }
            Self::Path | Self::NotJson => {
                login.set(&[(Field::Password, "the whole content of the key file, from { to }")])
            }
            Self::OtherType | Self::Incomplete => login.set(&[(
                Field::Password,
                "the content of a service-account key (create one in Google Cloud: IAM, Service accounts, Keys)",
            )]),
        }
    }
}

/// A login with a service-account key, which does not expire.
pub(super) const SERVICE_ACCOUNT: [(Field, &str); 2] =
    [(Field::User, "_json_key"), (Field::Password, "the content of a service-account key file")];
