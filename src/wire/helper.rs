//! The docker credential helper protocol (`docker/docker-credential-helpers`, `credentials`).

use serde::{Deserialize, Serialize};

use super::exposed_secret::ExposedSecret;
use crate::domain::credentials::credential::Credential;

/// What clients take for "there is none"; compared byte for byte.
pub const NOT_FOUND: &str = "credentials not found in native keychain";
/// What clients know as the complaint about an empty server.
pub const NO_SERVER: &str = "no credentials server URL";
/// What clients know as the complaint about an empty user.
pub const NO_USER: &str = "no credentials username";

/// What `get` prints and `store` reads.
#[derive(Serialize, Deserialize)]
pub struct HelperCredential {
    /// The server, as the client put it.
    #[serde(rename = "ServerURL", default)]
    pub server_url: String,
    /// The user name; `<token>` for an identity token.
    #[serde(rename = "Username", default)]
    pub username: String,
    /// The password or token.
    #[serde(rename = "Secret", default)]
    pub secret: ExposedSecret,
}

impl HelperCredential {
    /// The answer to a client that asked for `server_url`.
    pub fn new(server_url: &str, credential: &Credential) -> Self {
        Self {
            server_url: server_url.to_owned(),
            username: credential.user.clone(),
            secret: ExposedSecret(credential.secret.clone()),
        }
    }
}
