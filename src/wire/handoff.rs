//! What one agent leaves to the next. It lives in memory only.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exposed_secret::ExposedSecret;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::login::{LastVerdict, Login};
use crate::domain::declarations::source::Variables;
use crate::domain::reasons::Reason;

/// Everything that no source would bring back.
#[derive(Default, Serialize, Deserialize)]
pub struct SavedState {
    /// The matching variables of the environment `start` or `run` found.
    #[serde(default)]
    pub environment: BTreeMap<String, ExposedSecret>,
    /// When that was.
    #[serde(default)]
    pub environment_at: Option<Timestamp>,
    /// The environment that was pushed last.
    #[serde(default)]
    pub pushed: Option<BTreeMap<String, ExposedSecret>>,
    /// When that was.
    #[serde(default)]
    pub pushed_at: Option<Timestamp>,
    /// What is known of each login, by server.
    #[serde(default)]
    pub logins: BTreeMap<String, SavedLogin>,
    /// The tokens in hand, by the fingerprint of their exchange.
    #[serde(default)]
    pub tokens: BTreeMap<u64, SavedToken>,
}

/// A login as the last agent knew it.
#[derive(Serialize, Deserialize)]
pub struct SavedLogin {
    /// Of the declaration it belongs to: another one makes all of this void.
    pub fingerprint: u64,
    /// What the registry said last.
    pub standing: LastVerdict,
    /// Why.
    pub reason: Option<Reason>,
    /// When it was last accepted.
    pub verified_at: Option<Timestamp>,
    /// When it is asked again.
    pub due: Option<Timestamp>,
    /// How often in a row it failed.
    pub failures: u32,
}

/// A token as the last agent held it.
#[derive(Serialize, Deserialize)]
pub struct SavedToken {
    user: String,
    secret: ExposedSecret,
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    /// When it is to be renewed.
    pub due: Timestamp,
}

impl SavedLogin {
    /// What to remember of `login`.
    pub fn of(login: &Login) -> Self {
        Self {
            fingerprint: login.declaration.fingerprint(),
            standing: login.standing,
            reason: login.reason.clone(),
            verified_at: login.verified_at,
            due: login.due,
            failures: login.failures,
        }
    }
}

impl SavedToken {
    /// What to remember of a token that is to be renewed at `due`.
    pub fn of(credential: &Credential, due: Timestamp) -> Self {
        Self {
            user: credential.user.clone(),
            secret: ExposedSecret(credential.secret.clone()),
            issued_at: credential.issued_at,
            expires_at: credential.expires_at,
            due,
        }
    }

    /// The token again.
    pub fn credential(&self) -> Credential {
        Credential {
            user: self.user.clone(),
            secret: self.secret.0.clone(),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        }
    }
}

/// Variables that may leave the process.
pub fn reveal(variables: &Variables) -> BTreeMap<String, ExposedSecret> {
    variables.iter().map(|(name, value)| (name.clone(), ExposedSecret(value.clone()))).collect()
}

/// Variables that came from outside.
pub fn conceal(variables: BTreeMap<String, ExposedSecret>) -> Variables {
    variables.into_iter().map(|(name, value)| (name, value.0)).collect()
}
