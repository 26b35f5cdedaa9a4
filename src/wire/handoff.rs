//! The state that one agent hands to the next; it is never written to a disk.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exposed_secret::ExposedSecret;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::login::{LastVerdict, Login};
use crate::domain::credentials::replaced::ReplacedCredential;
use crate::domain::declarations::source::Variables;
use crate::domain::reasons::{Reason, SourceReason};

/// Everything that a new agent cannot read from the sources again.
#[derive(Default, Serialize, Deserialize)]
pub struct SavedState {
    /// The configuration in use, in case the new agent cannot read the files.
    #[serde(default)]
    pub config: Option<serde_json::Value>,
    /// The variables from the environment of `start` or `run`.
    #[serde(default)]
    pub environment: BTreeMap<String, ExposedSecret>,
    /// When that environment was read.
    #[serde(default)]
    pub environment_at: Option<Timestamp>,
    /// The last pushed environment.
    #[serde(default)]
    pub pushed: Option<BTreeMap<String, ExposedSecret>>,
    /// When it was pushed.
    #[serde(default)]
    pub pushed_at: Option<Timestamp>,
    /// The last good values of each source file, by path.
    #[serde(default)]
    pub files: BTreeMap<String, SavedFile>,
    /// The state of each login, by server.
    #[serde(default)]
    pub logins: BTreeMap<String, SavedLogin>,
    /// The current tokens, by the fingerprint of their exchange.
    #[serde(default)]
    pub tokens: BTreeMap<u64, SavedToken>,
}

/// The last good content of a file or directory of variables.
#[derive(Serialize, Deserialize)]
pub struct SavedFile {
    /// Its last good values; `None` if it does not exist.
    pub variables: Option<BTreeMap<String, ExposedSecret>>,
    /// What is wrong with it.
    pub problems: Vec<SourceReason>,
}

/// The state of a login.
#[derive(Serialize, Deserialize)]
pub struct SavedLogin {
    /// The fingerprint of its declaration; the state does not apply to any other.
    pub fingerprint: u64,
    /// The last verdict of the registry.
    pub last_verdict: LastVerdict,
    /// The reason for that verdict.
    pub reason: Option<Reason>,
    /// When the registry last accepted it.
    pub verified_at: Option<Timestamp>,
    /// When it is verified next.
    pub due: Option<Timestamp>,
    /// The number of failures in a row.
    pub failures: u32,
    /// Replaced credentials that clients may still send back.
    #[serde(default)]
    pub replaced: Vec<ReplacedCredential>,
}

/// A token of AWS.
#[derive(Serialize, Deserialize)]
pub struct SavedToken {
    user: String,
    secret: ExposedSecret,
    issued_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    /// When it is renewed.
    pub due: Timestamp,
}

impl SavedLogin {
    /// The state of `login`.
    pub fn of(login: &Login, fingerprint: u64, replaced: &[ReplacedCredential]) -> Self {
        Self {
            fingerprint,
            replaced: replaced.to_vec(),
            last_verdict: login.last_verdict,
            reason: login.reason.clone(),
            verified_at: login.verified_at,
            due: login.due,
            failures: login.failures,
        }
    }
}

impl SavedToken {
    /// A token that is renewed at `due`.
    pub fn of(credential: &Credential, due: Timestamp) -> Self {
        Self {
            user: credential.user.clone(),
            secret: ExposedSecret(credential.secret.clone()),
            issued_at: credential.issued_at,
            expires_at: credential.expires_at,
            due,
        }
    }

    /// The token as a credential.
    pub fn credential(&self) -> Credential {
        Credential {
            user: self.user.clone(),
            secret: self.secret.0.clone(),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        }
    }
}

/// Makes variables serializable.
pub fn reveal(variables: &Variables) -> BTreeMap<String, ExposedSecret> {
    variables.iter().map(|(name, value)| (name.clone(), ExposedSecret(value.clone()))).collect()
}

/// Wraps deserialized variables as secrets.
pub fn conceal(variables: BTreeMap<String, ExposedSecret>) -> Variables {
    variables.into_iter().map(|(name, value)| (name, value.0)).collect()
}
