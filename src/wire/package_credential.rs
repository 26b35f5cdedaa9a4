//! The response to the helpers of package clients.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exposed_secret::ExposedSecret;
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;

/// `GET /v1/credential?url=…`
#[derive(Serialize, Deserialize)]
pub struct PackageCredential {
    /// The URL that the login answers below; it ends with a slash.
    pub url_prefix: String,
    /// The canonical server, as `status` names it.
    pub server: String,
    /// `bearer`, `basic` or `raw`: the scheme of `authorization`.
    pub scheme: String,
    /// The user name; null for a token alone.
    pub username: Option<String>,
    /// The password or token.
    pub secret: ExposedSecret,
    /// The whole value of the `Authorization` header.
    pub authorization: ExposedSecret,
    /// When the credential expires, if that is known.
    pub expires_at: Option<Timestamp>,
    /// Until when a client may keep it: the expiry, less the safety margin.
    pub usable_until: Option<Timestamp>,
}

impl PackageCredential {
    /// The response for a login of `server`.
    pub fn new(server: &str, scheme: AuthScheme, credential: &Credential) -> Self {
        Self {
            url_prefix: server.to_owned(),
            server: server.to_owned(),
            scheme: scheme.as_str().to_owned(),
            username: Some(credential.user.clone()).filter(|user| !user.is_empty()),
            secret: ExposedSecret(credential.secret.clone()),
            authorization: ExposedSecret(scheme.authorization(credential)),
            expires_at: credential.expires_at,
            usable_until: credential.serves_until(),
        }
    }
}
