//! The state that one agent hands to the next; it is never written to a disk.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::api::EventDocument;
use super::exposed_secret::ExposedSecret;
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::login::{LastVerdict, Login};
use crate::domain::credentials::replaced::ReplacedCredential;
use crate::domain::declarations::source::Variables;
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::{Reason, RegistryReason, SourceReason};

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
    /// What the sets that it kept from an earlier push lack.
    #[serde(default)]
    pub kept: Vec<Problem>,
    /// The last good values of each source file, by path.
    #[serde(default)]
    pub files: BTreeMap<String, SavedFile>,
    /// The state of each login, by server.
    #[serde(default)]
    pub logins: BTreeMap<String, SavedLogin>,
    /// The current tokens, by the fingerprint of their exchange.
    #[serde(default)]
    pub tokens: BTreeMap<u64, SavedToken>,
    /// The last events, oldest first.
    #[serde(default)]
    pub events: Vec<EventDocument>,
}

/// What changed after a [`SavedState`], and follows it in the same memory.
#[derive(Serialize, Deserialize)]
pub struct SavedChange {
    /// The logins that changed, by server.
    pub logins: BTreeMap<String, SavedLogin>,
    /// The events since.
    pub events: Vec<EventDocument>,
}

/// What no source has, in the form that every version writes.
#[derive(Deserialize)]
struct SavedVariables {
    #[serde(default)]
    environment: BTreeMap<String, ExposedSecret>,
    environment_at: Option<Timestamp>,
    pushed: Option<BTreeMap<String, ExposedSecret>>,
    pushed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct SavedConfig {
    config: Option<serde_json::Value>,
}

/// A state in a form that this version cannot read. The parser's own message may quote secrets.
#[derive(Debug, Clone, Copy, Error)]
#[error(
    "the state of the previous agent cannot be read (line {line}, column {column}): variables that were pushed to it are lost; run `registry-agent sync` to send them again"
)]
pub struct UnreadableState {
    line: usize,
    column: usize,
}

impl SavedState {
    /// Reads a state and the changes after it. The last change may be cut off: its writer was killed.
    /// Of a state that another version wrote in another form, only the variables are kept.
    pub fn read(content: &[u8]) -> Result<Self, UnreadableState> {
        let mut documents = serde_json::Deserializer::from_slice(content);
        let Ok(mut state) = Self::deserialize(&mut documents) else {
            return Self::variables_of(content);
        };
        while let Ok(change) = SavedChange::deserialize(&mut documents) {
            state.logins.extend(change.logins);
            state.events.extend(change.events);
        }
        Ok(state)
    }

    /// The configuration in a state, without the secrets beside it.
    pub fn config_of(content: &[u8]) -> Option<serde_json::Value> {
        let mut documents = serde_json::Deserializer::from_slice(content);
        SavedConfig::deserialize(&mut documents).ok()?.config
    }

    fn variables_of(content: &[u8]) -> Result<Self, UnreadableState> {
        let mut documents = serde_json::Deserializer::from_slice(content);
        let SavedVariables { environment, environment_at, pushed, pushed_at } =
            SavedVariables::deserialize(&mut documents)
                .map_err(|error| UnreadableState { line: error.line(), column: error.column() })?;
        Ok(Self { environment, environment_at, pushed, pushed_at, ..Self::default() })
    }
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
    /// Whether the registry was being asked again.
    #[serde(default)]
    pub is_verdict_stale: bool,
    /// The reason for that verdict.
    pub reason: Option<Reason>,
    /// A remark beside that reason.
    #[serde(default)]
    pub verdict_remark: Option<RegistryReason>,
    /// When the registry last accepted it.
    pub verified_at: Option<Timestamp>,
    /// How the registry asks for the credential.
    #[serde(default)]
    pub offered_scheme: Option<AuthScheme>,
    /// When it is verified next.
    pub due: Option<Timestamp>,
    /// The number of failures in a row.
    pub failures: u32,
    /// Whether the expiry of the current token was recorded as an event.
    #[serde(default)]
    pub expiry_recorded: bool,
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
            expiry_recorded: false,
            replaced: replaced.to_vec(),
            last_verdict: login.last_verdict,
            is_verdict_stale: login.is_verdict_stale,
            reason: login.reason.clone(),
            verdict_remark: login.verdict_remark.clone(),
            verified_at: login.verified_at,
            offered_scheme: login.offered_scheme,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn change(seq: u64) -> SavedChange {
        let event = EventDocument {
            seq,
            at: Timestamp::UNIX_EPOCH,
            event: "ready".to_owned(),
            subject: "a".to_owned(),
            detail: "a is ready".to_owned(),
        };
        SavedChange { logins: BTreeMap::new(), events: vec![event] }
    }

    #[test]
    fn the_variables_outlive_a_state_that_another_version_wrote_in_another_form() {
        let state = serde_json::json!({
            "environment": { "A": "1" }, "environment_at": "2026-01-01T00:00:00Z",
            "pushed": { "B": "2" }, "pushed_at": "2026-01-02T00:00:00Z",
            "logins": ["a form of the future"],
        });
        let state = SavedState::read(&serde_json::to_vec(&state).unwrap()).unwrap();
        assert_eq!(state.environment.keys().collect::<Vec<_>>(), ["A"]);
        assert_eq!(state.pushed.unwrap().keys().collect::<Vec<_>>(), ["B"]);
        assert!(state.pushed_at > state.environment_at);
        let error = SavedState::read(br#"{"pushed": "planted"}"#).err().unwrap();
        assert!(!error.to_string().contains("planted"), "{error}");
    }

    #[test]
    fn a_change_that_is_cut_off_anywhere_takes_nothing_before_it_away() {
        let state = SavedState { events: change(1).events, ..SavedState::default() };
        let mut content = serde_json::to_vec(&state).unwrap();
        content.extend(serde_json::to_vec(&change(2)).unwrap());
        let whole = content.len();
        content.extend(serde_json::to_vec(&change(3)).unwrap());
        let numbers = |end| -> Vec<u64> {
            let state = SavedState::read(&content[..end]).unwrap();
            state.events.iter().map(|event| event.seq).collect()
        };
        for end in whole..content.len() {
            assert_eq!(numbers(end), [1, 2], "cut off at {end}");
        }
        assert_eq!(numbers(content.len()), [1, 2, 3]);
    }
}
