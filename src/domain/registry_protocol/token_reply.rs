//! Reads the response of a token server.

use serde::Deserialize;

use crate::domain::credentials::secret::Secret;

/// The token in a response. Both names of the field are common, so either is accepted (Docker Registry
/// v2 authentication, "Token Response Fields").
pub fn token_in(body: &[u8]) -> Option<Secret> {
    #[derive(Deserialize)]
    struct TokenReply {
        token: Option<String>,
        access_token: Option<String>,
    }
    let TokenReply { token, access_token } = serde_json::from_slice(body).ok()?;
    [token, access_token].into_iter().flatten().find(|it| !it.is_empty()).map(Secret::new)
}
