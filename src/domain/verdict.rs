//! What a registry said of a credential.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reason::Reason;

/// How a verification ended. The names are the states a login takes on from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The registry asked for a credential and accepted this one.
    Ready,
    /// The registry did not ask, or its realm may not be given the password without leave.
    Unverified,
    /// No answer, or not a registry's.
    Unreachable,
    /// Told to come back later.
    RateLimited,
    /// The registry refused the credential.
    Rejected,
    /// The registry names a realm that must not see a password, or the credential cannot be one.
    Invalid,
}

/// The answer of one verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What it means for the login.
    pub outcome: Outcome,
    /// Why it is not [`Outcome::Ready`]; `None` when it is.
    pub reason: Option<Reason>,
    /// How long the registry asked to be left alone (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl Verdict {
    /// The registry accepted the credential.
    pub fn ready() -> Self {
        Self { outcome: Outcome::Ready, reason: None, retry_after: None }
    }

    /// Any other answer, with its reason.
    pub fn because(outcome: Outcome, reason: Reason) -> Self {
        Self { outcome, reason: Some(reason), retry_after: None }
    }
}
