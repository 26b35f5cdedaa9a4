//! Why a registry does not accept a credential, or cannot be asked.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Severity;
use super::connection::ConnectionFault;
use super::google_key::KeyFault;
use super::image_access::ImageAccessReason;
use super::rejection::RejectionHint;
use super::step::Step;
use crate::domain::registry_protocol::realm::RealmFault;

/// Why a registry did not accept a credential, or was not sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryReason {
    /// The registry rejected the user name and password.
    #[error("{server} rejected the login of {user}{refusal} ({seen})")]
    Refused {
        /// The canonical server.
        server: String,
        /// The user name that was sent.
        user: String,
        /// What is known about the rejection.
        refusal: RejectionHint,
        /// The request, the status and the registry's own message, sanitized.
        seen: String,
    },
    /// The registry says that the token has expired.
    #[error("{server} reports that the token has expired ({seen})")]
    TokenExpired {
        /// The canonical server.
        server: String,
        /// The request, the status and the registry's own message, sanitized.
        seen: String,
    },
    /// The declared token states that it has expired.
    #[error("the token declared for {server} expired at {at}")]
    TokenDead {
        /// The canonical server.
        server: String,
        /// Its expiry (UTC).
        at: Timestamp,
    },
    /// The registry limits the rate of requests.
    #[error("{server} is rate-limiting requests ({seen})")]
    RateLimited {
        /// The canonical server.
        server: String,
        /// The request, the status and the registry's own message, sanitized.
        seen: String,
    },
    /// The registry did not ask for a credential.
    #[error("{server} did not ask for a login, so this one is not verified")]
    NotAsked {
        /// The canonical server.
        server: String,
    },
    /// The realm is on another host that the user has not allowed.
    #[error("{server} uses the token server {realm}, which is not allowed to receive its password")]
    RealmNotAllowed {
        /// The canonical server.
        server: String,
        /// The realm's host, with the port if it is not 443.
        realm: String,
    },
    /// The realm must never receive a password.
    #[error("{server} uses the token server {realm}, {fault}, so the password is withheld")]
    RealmForbidden {
        /// The canonical server.
        server: String,
        /// The realm's origin: scheme, host and port.
        realm: String,
        /// What is wrong with the realm.
        fault: RealmFault,
    },
    /// The host that responded is not a registry.
    #[error("{server} did not respond like a registry ({seen})")]
    NotARegistry {
        /// The canonical server.
        server: String,
        /// The request, the status and the kind of response.
        seen: String,
    },
    /// The registry's `WWW-Authenticate` header cannot be used.
    #[error("{server} sent a WWW-Authenticate header that cannot be used: {fault}")]
    BadChallenge {
        /// The canonical server.
        server: String,
        /// What is wrong with the header.
        fault: String,
    },
    /// The token server sent no token, but did not reject the credential either.
    #[error("the token server of {server} sent no token ({seen})")]
    NoToken {
        /// The canonical server.
        server: String,
        /// The request, the status and the kind of response.
        seen: String,
    },
    /// The registry failed, or rejected this machine before any login.
    #[error("{server} failed to answer the request ({seen})")]
    Failing {
        /// The canonical server.
        server: String,
        /// The request, the status and the registry's own message, sanitized.
        seen: String,
    },
    /// The registry or its token server sent no response.
    #[error("{}", .fault.sentence(.host))]
    Unreached {
        /// Host and port of the registry or its token server.
        host: String,
        /// Why there is no response.
        fault: ConnectionFault,
    },
    /// An identity token for a registry that accepts only user name and password.
    #[error("{server} requires a user and a password, but an identity token is stored for it")]
    IdentityTokenUseless {
        /// The canonical server.
        server: String,
    },
    /// The password should be a service-account key but is not; it was not sent.
    #[error("{server} requires a service-account key as the password of {user}: {fault}")]
    NotAKey {
        /// The canonical server.
        server: String,
        /// The declared user.
        user: String,
        /// What is wrong with the key.
        fault: KeyFault,
    },
    /// The password should be a refresh token but is not; it was not sent.
    #[error(
        "{server} requires a refresh token as the password of the all-zero user, and the declared password is not one"
    )]
    NotARefreshToken {
        /// The canonical server.
        server: String,
    },
    /// What the login may not do with an image.
    #[error(transparent)]
    ImageAccess(#[from] ImageAccessReason),
    /// A remark: the credential expires within the hour.
    #[error(
        "the access token declared for {server} expires after one hour and cannot be renewed automatically"
    )]
    OneHourToken {
        /// The canonical server.
        server: String,
    },
}

impl RegistryReason {
    /// A stable identifier for programs.
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
            Self::ImageAccess(reason) => reason.code(),
            Self::OneHourToken { .. } => "one-hour-token",
        }
    }

    /// Whether it keeps clients from a login.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NotAsked { .. } | Self::RealmNotAllowed { .. } | Self::OneHourToken { .. } => {
                Severity::Remark
            }
            Self::ImageAccess(reason) => reason.severity(),
            Self::Refused { .. }
            | Self::TokenExpired { .. }
            | Self::TokenDead { .. }
            | Self::RateLimited { .. }
            | Self::RealmForbidden { .. }
            | Self::NotARegistry { .. }
            | Self::BadChallenge { .. }
            | Self::NoToken { .. }
            | Self::Failing { .. }
            | Self::Unreached { .. }
            | Self::IdentityTokenUseless { .. }
            | Self::NotAKey { .. }
            | Self::NotARefreshToken { .. } => Severity::Error,
        }
    }

    /// The step of `check` that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::Refused { .. }
            | Self::TokenExpired { .. }
            | Self::NotAsked { .. }
            | Self::RealmNotAllowed { .. }
            | Self::RealmForbidden { .. }
            | Self::IdentityTokenUseless { .. } => Step::Credential,
            Self::RateLimited { .. }
            | Self::NotARegistry { .. }
            | Self::BadChallenge { .. }
            | Self::NoToken { .. }
            | Self::Failing { .. } => Step::RegistryApi,
            Self::Unreached { fault, .. } => fault.step(),
            Self::TokenDead { .. }
            | Self::NotAKey { .. }
            | Self::NotARefreshToken { .. }
            | Self::OneHourToken { .. } => Step::Values,
            Self::ImageAccess(_) => Step::ImageAccess,
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        let fix = match self {
            Self::Refused { server, refusal, .. } => return refusal.fix(server),
            Self::TokenExpired { .. } | Self::TokenDead { .. } => {
                "set the password to a new token, or declare a long-lived credential instead"
            }
            Self::RateLimited { .. } => "no action needed; retried when the registry allows it",
            Self::NotAsked { .. } => {
                "no action needed; the login is served if a client asks for it"
            }
            Self::RealmNotAllowed { server, realm } => {
                return allow_realm(server, realm);
            }
            Self::RealmForbidden { .. } => {
                "ask the registry's operator to use an https token server on the registry's own host"
            }
            Self::NotARegistry { .. } => {
                "set the server to the host that images are pulled from, without a path"
            }
            Self::BadChallenge { .. } => {
                "ask the registry's operator to correct the WWW-Authenticate header"
            }
            Self::NoToken { .. } | Self::Failing { .. } => {
                "no action needed; retried automatically. If it persists, ask the registry's operator"
            }
            Self::Unreached { host, fault } => return fault.fix(host),
            Self::IdentityTokenUseless { server } => {
                return format!("run `docker login {server}` with a user and a password");
            }
            Self::NotAKey { fault, .. } => fault.fix(),
            Self::NotARefreshToken { server } => {
                return RejectionHint::AcrRefreshToken.fix(server);
            }
            Self::ImageAccess(reason) => reason.fix(),
            Self::OneHourToken { server } => return RejectionHint::GoogleAccessToken.fix(server),
        };
        fix.to_owned()
    }
}

/// The lines for the configuration file. The host comes from the registry's response, so it is
/// offered for pasting only if neither a shell nor TOML could interpret it as anything but a name.
/// A second table of the same name would make the file invalid.
fn allow_realm(server: &str, realm: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]".contains(c);
    if !(server.chars().all(plain) && realm.chars().all(plain)) {
        return "ask the registry's operator to use a token server with a valid host name"
            .to_owned();
    }
    format!(
        "allow {realm} only if you trust it: run \
         `f=\"${{XDG_CONFIG_HOME:-$HOME/.config}}/registry-agent/config.toml\"; mkdir -p \"${{f%/*}}\" && \
         {{ grep -qsF '[servers.\"{server}\"]' \"$f\" || \
         printf '\\n[servers.\"{server}\"]\\nrealms = [\"{realm}\"]\\n' >> \"$f\"; }}`, \
         or add \"{realm}\" to the `realms` of that server if the file has some; the agent reads the file at once"
    )
}
