//! What a registry can answer, and what keeps it from answering.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::connection::ConnectionFault;
use super::google_key::KeyFault;
use super::image_access::ImageAccessReason;
use super::rejection::RejectionHint;
use crate::domain::registry_protocol::realm::RealmFault;

/// Why a registry did not accept a credential, or was not shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryReason {
    /// The registry refused user and password.
    #[error("{server} refused the login of {user}{refusal} ({seen})")]
    Refused {
        /// The canonical server.
        server: String,
        /// The user name that was sent.
        user: String,
        /// What is known of it.
        refusal: RejectionHint,
        /// Step, status and the registry's own words, cleaned up.
        seen: String,
    },
    /// The registry says that the token has expired.
    #[error("{server} says that the token has expired ({seen})")]
    TokenExpired {
        /// The canonical server.
        server: String,
        /// Step, status and the registry's own words, cleaned up.
        seen: String,
    },
    /// The declared token tells that it is dead.
    #[error("{server} was given a token that died at {at}")]
    TokenDead {
        /// The canonical server.
        server: String,
        /// Its end (UTC).
        at: Timestamp,
    },
    /// The registry wants to be left alone for a while.
    #[error("{server} asks to come back later ({seen})")]
    RateLimited {
        /// The canonical server.
        server: String,
        /// Step, status and the registry's own words, cleaned up.
        seen: String,
    },
    /// The registry did not ask for a credential.
    #[error("{server} let this machine in without a login, so this one could not be checked")]
    NotAsked {
        /// The canonical server.
        server: String,
    },
    /// The realm is on another host, and the user has not allowed it.
    #[error(
        "{server} wants its password sent to {realm}, which nobody allowed yet, so it could not be checked"
    )]
    RealmNotAllowed {
        /// The canonical server.
        server: String,
        /// Host, and port where it is not 443, of the realm.
        realm: String,
    },
    /// The realm must never see a password.
    #[error("{server} wants its password sent to {realm}, {fault}, so it is withheld")]
    RealmForbidden {
        /// The canonical server.
        server: String,
        /// The realm's origin.
        realm: String,
        /// What is wrong with it.
        fault: RealmFault,
    },
    /// What answered is no registry.
    #[error("{server} is not a registry ({seen})")]
    NotARegistry {
        /// The canonical server.
        server: String,
        /// Step, status and what came.
        seen: String,
    },
    /// The registry asks for a login in a way that makes no sense.
    #[error("{server} asks for a login in a way that cannot be followed: {fault}")]
    BadChallenge {
        /// The canonical server.
        server: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The token server gave no token, though it refused nothing.
    #[error("{server} gave no token ({seen})")]
    NoToken {
        /// The canonical server.
        server: String,
        /// Step, status and what came.
        seen: String,
    },
    /// The registry failed, or turned this machine away before any login.
    #[error("{server} cannot answer now ({seen})")]
    Failing {
        /// The canonical server.
        server: String,
        /// Step, status and the registry's own words, cleaned up.
        seen: String,
    },
    /// No answer.
    #[error("{host} {fault}")]
    Unreached {
        /// Host and port that were asked: the registry's, or its token server's.
        host: String,
        /// Why.
        fault: ConnectionFault,
    },
    /// An identity token where only user and password are taken.
    #[error("{server} takes a user and a password, and was given an identity token")]
    IdentityTokenUseless {
        /// The canonical server.
        server: String,
    },
    /// What should be a service-account key is none; it was not sent.
    #[error("{server} needs a service-account key as the password of {user}: {fault}")]
    NotAKey {
        /// The canonical server.
        server: String,
        /// The declared user.
        user: String,
        /// What is wrong with it.
        fault: KeyFault,
    },
    /// What should be a refresh token is none; it was not sent.
    #[error(
        "{server} needs a refresh token as the password of the all-zero user, and this is none"
    )]
    NotARefreshToken {
        /// The canonical server.
        server: String,
    },
    /// What it may not do with an image.
    #[error(transparent)]
    Right(#[from] ImageAccessReason),
    /// A remark: the login is one that dies within the hour.
    #[error("{server} was given an access token, which lives one hour and cannot be renewed here")]
    OneHourToken {
        /// The canonical server.
        server: String,
    },
}

impl RegistryReason {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::TokenExpired { .. } | Self::TokenDead { .. } => "token-expired",
            Self::RateLimited { .. } => "rate-limited",
            Self::NotAsked { .. } => "not-asked",
            Self::RealmNotAllowed { .. } => "realm-not-allowed",
            Self::RealmForbidden { .. } => "realm-forbidden",
            Self::NotARegistry { .. } => "not-a-registry",
            Self::BadChallenge { .. } => "bad-challenge",
            Self::NoToken { .. } => "no-token",
            Self::Failing { .. } => "registry-failing",
            Self::Unreached { fault, .. } => fault.code(),
            Self::IdentityTokenUseless { .. } => "identity-token-useless",
            Self::NotAKey { .. } => "not-a-service-account-key",
            Self::NotARefreshToken { .. } => "not-a-refresh-token",
            Self::Right(reason) => reason.code(),
            Self::OneHourToken { .. } => "one-hour-token",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        let fix = match self {
            Self::Refused { refusal, .. } => refusal.fix(),
            Self::TokenExpired { .. } | Self::TokenDead { .. } => {
                "declare a long-lived credential instead of a token, or set a fresh token"
            }
            Self::RateLimited { .. } => "nothing: it is asked again when it said to",
            Self::NotAsked { .. } => "nothing, unless the registry should ask for a login",
            Self::RealmNotAllowed { server, realm } => {
                return format!(
                    "if {realm} may see it, add to ~/.config/registry-agent/config.toml: [servers.\"{server}\"] realms = [\"{realm}\"]"
                );
            }
            Self::RealmForbidden { .. } => {
                "have the registry name an https token server on its own host; do not log in to it until it does"
            }
            Self::NotARegistry { .. } => {
                "correct the server: it is the host that images are pulled from, without a web address's path"
            }
            Self::BadChallenge { .. } => {
                "have the registry's configuration put right by its operator"
            }
            Self::NoToken { .. } | Self::Failing { .. } => {
                "nothing by itself: it is asked again; if it stays so, ask the registry's operator"
            }
            Self::Unreached { fault, .. } => return fault.fix(),
            Self::IdentityTokenUseless { .. } => "log in with a user and a password",
            Self::NotAKey { fault, .. } => fault.fix(),
            Self::NotARefreshToken { .. } => RejectionHint::AcrRefreshToken.fix(),
            Self::Right(reason) => reason.fix(),
            Self::OneHourToken { .. } => RejectionHint::GoogleAccessToken.fix(),
        };
        fix.to_owned()
    }
}
