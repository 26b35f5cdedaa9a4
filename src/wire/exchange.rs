//! The request and the reply of the process that requests a token from AWS. Both contain secrets and
//! are sent over pipes only.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exposed_secret::ExposedSecret;
use crate::domain::credentials::exchange::TokenService;
use crate::domain::credentials::refresh_schedule::RetryClass;
use crate::domain::reasons::AwsReason;
use crate::domain::registry_protocol::verdict::Outcome;

/// An exchange. It also depends on the environment of the process that receives it.
#[derive(Serialize, Deserialize)]
pub struct ExchangeRequest {
    /// The API to call.
    pub service: TokenService,
    /// The declared keys.
    pub keys: Option<ExchangeKeys>,
    /// The role to assume.
    pub role_arn: Option<String>,
    /// The profile of the shared AWS files.
    pub profile: Option<String>,
}

/// Declared AWS keys.
#[derive(Serialize, Deserialize)]
pub struct ExchangeKeys {
    /// The access key ID.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: ExposedSecret,
    /// The session token of temporary keys.
    pub session_token: Option<ExposedSecret>,
}

/// The result of an exchange.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExchangeReply {
    /// AWS issued a token.
    Token {
        /// The user name for the registry.
        user: String,
        /// The password for the registry.
        secret: ExposedSecret,
        /// When the token was requested.
        issued_at: Option<Timestamp>,
        /// When the token expires.
        expires_at: Option<Timestamp>,
        /// A remark for the user.
        remark: Option<AwsReason>,
    },
    /// There is no token.
    Failure {
        /// What happened.
        reason: AwsReason,
        /// The resulting state of the logins that wait for the token.
        outcome: Outcome,
        /// How to retry; `None` if a retry is pointless.
        retry: Option<RetryClass>,
        /// How long AWS asked clients to wait (`Retry-After`).
        retry_after: Option<Duration>,
    },
}
