//! The user name and secret that are sent to a registry.

use jiff::Timestamp;

use super::lifetime::Lifetime;
use super::secret::Secret;

/// A user name and a secret, with its lifetime if known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user name the registry expects; `<token>` marks an identity token (docker's convention).
    pub user: String,
    /// The password or token.
    pub secret: Secret,
    /// When it was issued, by the local clock (UTC).
    pub issued_at: Option<Timestamp>,
    /// When it expires, by the local clock (UTC); `None` if unknown.
    pub expires_at: Option<Timestamp>,
}

/// The user name that marks an identity token in the credential helper protocol
/// (`docker/docker-credential-helpers`, `docker/cli`).
pub const IDENTITY_TOKEN_USER: &str = "<token>";

impl Credential {
    /// A credential with an unknown expiry.
    pub fn plain(user: impl Into<String>, secret: Secret) -> Self {
        Self { user: user.into(), secret, issued_at: None, expires_at: None }
    }

    /// Whether the secret is an identity token, which is sent to the realm as a refresh token.
    pub fn is_identity_token(&self) -> bool {
        self.user == IDENTITY_TOKEN_USER
    }

    /// The latest time at which it may be handed out; `None` if the expiry is unknown. If the time
    /// of issue is unknown, this is the expiry itself, without a safety margin.
    pub fn serves_until(&self) -> Option<Timestamp> {
        match self.lifetime() {
            Some(life) => life.serves_until(),
            None => self.expires_at,
        }
    }

    /// Its lifetime; `None` if the time of issue is unknown.
    pub fn lifetime(&self) -> Option<Lifetime> {
        self.issued_at.map(|issued_at| Lifetime { issued_at, expires_at: self.expires_at })
    }

    /// Whether it may be handed out at `now`.
    pub fn serves(&self, now: Timestamp) -> bool {
        self.serves_until().is_none_or(|until| now < until)
    }
}
