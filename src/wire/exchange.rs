//! What the agent sends to the process that asks AWS for a token, and what comes back. Both travel on
//! pipes and nowhere else.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exposed_secret::ExposedSecret;
use crate::domain::credentials::exchange::EcrService;
use crate::domain::credentials::refresh_schedule::RetryClass;
use crate::domain::reasons::AwsReason;
use crate::domain::registry_protocol::verdict::Outcome;

/// The exchange to make. The environment of the process that gets it counts too.
#[derive(Serialize, Deserialize)]
pub struct ExchangeRequest {
    /// The API to call.
    pub service: EcrService,
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

/// How the exchange ended.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExchangeReply {
    /// With a token.
    Token {
        /// The user name for the registry.
        user: String,
        /// The password for the registry.
        secret: ExposedSecret,
        /// When AWS was asked for it.
        issued_at: Option<Timestamp>,
        /// When it ends.
        expires_at: Option<Timestamp>,
        /// What the user should know although all went well.
        remark: Option<AwsReason>,
    },
    /// Without one.
    Failure {
        /// Why.
        reason: AwsReason,
        /// What it means for the logins.
        outcome: Outcome,
        /// How to try again, if at all.
        cause: Option<RetryClass>,
        /// How long AWS asked to be left alone.
        retry_after: Option<Duration>,
    },
}
