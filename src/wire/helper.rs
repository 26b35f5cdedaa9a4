//! The docker credential helper protocol (`docker/docker-credential-helpers`, `credentials`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exposed_secret::ExposedSecret;
use crate::domain::credentials::credential::Credential;

/// What clients recognize as "no credential"; compared byte for byte.
pub const NOT_FOUND: &str = "credentials not found in native keychain";
/// What clients recognize as the error for an empty server.
pub const NO_SERVER: &str = "no credentials server URL";
/// What clients recognize as the error for an empty user.
pub const NO_USER: &str = "no credentials username";

/// The output of `get` and the input of `store`; also the agent's response to `GET /v1/credential`.
#[derive(Serialize, Deserialize)]
pub struct HelperCredential {
    /// The server as the client wrote it.
    #[serde(rename = "ServerURL", default)]
    pub server_url: String,
    /// The user name; `<token>` for an identity token.
    #[serde(rename = "Username", default)]
    pub username: String,
    /// The password or token.
    #[serde(rename = "Secret", default)]
    pub secret: ExposedSecret,
    /// Until when a client may keep it: the expiry, less the safety margin. `None` if the expiry is
    /// unknown. Not a part of docker's protocol.
    #[serde(rename = "UsableUntil", default, skip_serializing_if = "Option::is_none")]
    pub usable_until: Option<Timestamp>,
}

impl HelperCredential {
    /// The response to a request for `server_url`.
    pub fn new(server_url: &str, credential: &Credential) -> Self {
        Self {
            server_url: server_url.to_owned(),
            username: credential.user.clone(),
            secret: ExposedSecret(credential.secret.clone()),
            usable_until: credential.serves_until(),
        }
    }
}
