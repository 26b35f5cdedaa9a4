//! Why a registry does not accept a credential, or cannot be asked.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::connection::ConnectionFault;
use super::google_key::KeyFault;
use super::image_access::ImageAccessReason;
use super::rejection::RejectionHint;
use super::step::Step;
use super::stray::StrayCharacters;
use super::{Severity, duration, shown};
use crate::domain::registry_protocol::realm::RealmFault;

/// Why a registry did not accept a credential, or was not sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryReason {
    /// The registry rejected the user name and password.
    #[error("{} rejected {}{} ({seen})", shown(.server), login_of(.user), because(*.refusal, *.stray))]
    Refused {
        /// The canonical server.
        server: String,
        /// The user name that was sent; empty for a token alone.
        user: String,
        /// What is known about the rejection.
        refusal: RejectionHint,
        /// What in the user or the password looks like a mistake in copying.
        #[serde(default)]
        stray: Option<StrayCharacters>,
        /// The request, the status and the registry's own message, sanitized.
        seen: String,
    },
    /// The registry says that the token has expired.
    #[error("{} reports that the token has expired ({seen})", shown(.server))]
    TokenExpired {
        /// The canonical server.
        server: String,
        /// The request, the status and the registry's own message, sanitized.
        seen: String,
    },
    /// The registry limits the rate of requests.
    #[error("{} is rate-limiting requests{} ({seen})", shown(.server), wait_of(*.wait))]
    RateLimited {
        /// The canonical server.
        server: String,
        /// How long it asks clients to wait (`Retry-After`), in seconds.
        #[serde(default)]
        wait: Option<u64>,
        /// The request, the status and the registry's own message, sanitized.
        seen: String,
    },
    /// The registry did not ask for a credential.
    #[error("{} did not ask for a login, so this one is not verified", shown(.server))]
    NotAsked {
        /// The canonical server.
        server: String,
    },
    /// A package registry asked for the credential, but its response tells nothing about it.
    #[error(
        "{server} did not tell whether it accepts the login ({seen}), so this one is not verified"
    )]
    Undecided {
        /// The canonical server.
        server: String,
        /// The last request, its status and the registry's own message, sanitized.
        seen: String,
    },
    /// A package registry asks for the credential and allows it nothing.
    #[error(
        "{server} answered 403 to {} at every URL that asks for a login ({seen}): the password is wrong, or {} may not read there",
        login_of(.user), if .user.is_empty() { "it" } else { .user }
    )]
    LoginForbidden {
        /// The canonical server.
        server: String,
        /// The user name that was sent; empty for a token alone.
        user: String,
        /// What is known about such a login. It determines the fix.
        refusal: RejectionHint,
        /// The last request, its status and the registry's own message, sanitized.
        seen: String,
    },
    /// A package registry has none of the resources that the agent asks for, and not its own URL either.
    #[error(
        "{server} answered 404 to every request, so probably no registry is at this URL, and the login is not verified"
    )]
    NothingAtUrl {
        /// The canonical server.
        server: String,
    },
    /// A package registry redirects all requests to another URL.
    #[error(
        "{server} redirects every request to {target}; the login was not sent there and is not verified"
    )]
    RedirectsAway {
        /// The canonical server.
        server: String,
        /// The URL that it redirects to, without a query.
        target: String,
        /// Whether the target seems to be the same registry.
        is_moved: bool,
    },
    /// A package registry asks for a login in schemes that only other clients support.
    #[error(
        "{server} asks for an authentication scheme that the agent does not support ({}), so this login is not verified",
        .scheme.as_deref().unwrap_or("not a registered one")
    )]
    UnsupportedScheme {
        /// The canonical server.
        server: String,
        /// The scheme, if it is a well-known one.
        scheme: Option<String>,
    },
    /// The realm is on another host that the user has not allowed.
    #[error("{} uses the token server {realm}, which is not allowed to receive its password", shown(.server))]
    RealmNotAllowed {
        /// The canonical server.
        server: String,
        /// The realm's host, with the port if it is not 443.
        realm: String,
    },
    /// The realm must never receive a password.
    #[error("{} uses the token server {realm}, {fault}, so the password is withheld", shown(.server))]
    RealmForbidden {
        /// The canonical server.
        server: String,
        /// The realm's origin: scheme, host and port.
        realm: String,
        /// What is wrong with the realm.
        fault: RealmFault,
    },
    /// The host that responded is not a registry.
    #[error("{} {} ({seen})", shown(.server), if *.has_packages { "is a package registry, and the set declares a container registry" } else { "did not respond like a registry" })]
    NotARegistry {
        /// The canonical server.
        server: String,
        /// The request, the status and the kind of response.
        seen: String,
        /// Whether it answers as registries of packages do.
        #[serde(default)]
        has_packages: bool,
    },
    /// The registry's `WWW-Authenticate` header cannot be used.
    #[error("{} sent a WWW-Authenticate header that cannot be used: {fault}", shown(.server))]
    BadChallenge {
        /// The canonical server.
        server: String,
        /// What is wrong with the header.
        fault: String,
    },
    /// The token server sent no token, but did not reject the credential either.
    #[error("the token server of {} sent no token ({seen})", shown(.server))]
    NoToken {
        /// The canonical server.
        server: String,
        /// The request, the status and the kind of response.
        seen: String,
    },
    /// The registry failed, or rejected this machine before any login.
    #[error("{} failed to answer the request ({seen})", shown(.server))]
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
    #[error("{} requires a user and a password, but an identity token is stored for it", shown(.server))]
    IdentityTokenUseless {
        /// The canonical server.
        server: String,
    },
    /// The password should be a service-account key but is not; it was not sent.
    #[error("{} requires a service-account key as the password of {user}: {fault}", shown(.server))]
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
    /// A remark: the registry accepts the login, but the two clocks differ.
    #[error("this machine's clock is {} {} {}'s", duration(SignedDuration::from_secs(*.seconds)), if *.seconds < 0 { "behind" } else { "ahead of" }, shown(.server))]
    ClockOff {
        /// The canonical server.
        server: String,
        /// Local time minus the registry's time, in seconds.
        seconds: i64,
    },
    /// A remark: only a file that clients do not read makes the certificate a trusted one.
    #[error(
        "docker and other clients may reject the certificate of {}: only {file} has its authority, and they do not read that file", shown(.server)
    )]
    DistrustedByClients {
        /// The canonical server.
        server: String,
        /// The path of the file, from `_CA_FILE` or `SSL_CERT_FILE`.
        file: String,
        /// The name of the directory below `certs.d` where clients look for authorities.
        directory: String,
    },
    /// A remark: only the file of `_CA_FILE`, which clients do not read, makes the certificate of a package
    /// registry a trusted one.
    #[error(
        "package clients may reject the certificate of {server}: only {file} has its authority, and they do not read that file"
    )]
    DistrustedByPackageClients {
        /// The canonical server.
        server: String,
        /// The host and port of the server.
        host: String,
        /// The path of the file.
        file: String,
    },
    /// A remark: docker speaks plain HTTP only to registries that its daemon allows.
    #[error(
        "docker speaks no plain HTTP to {server} unless `insecure-registries` of its daemon allows it"
    )]
    PlainForDocker {
        /// The server as people write it.
        server: String,
    },
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
            Self::Refused { refusal, .. } => refusal.code(),
            Self::TokenExpired { .. } => "token-expired",
            Self::RateLimited { .. } => "rate-limited",
            Self::NotAsked { .. } => "not-asked",
            Self::Undecided { .. } => "not-decided",
            Self::LoginForbidden { .. } => "login-forbidden",
            Self::NothingAtUrl { .. } => "nothing-at-url",
            Self::RedirectsAway { .. } => "redirects-away",
            Self::UnsupportedScheme { .. } => "scheme-not-supported",
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
            Self::ClockOff { .. } => "clock-off",
            Self::DistrustedByClients { .. } | Self::DistrustedByPackageClients { .. } => {
                "certificate-distrusted-by-clients"
            }
            Self::PlainForDocker { .. } => "plain-for-docker",
            Self::OneHourToken { .. } => "one-hour-token",
        }
    }

    /// Whether it keeps clients from a login.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NotAsked { .. }
            | Self::Undecided { .. }
            | Self::LoginForbidden { .. }
            | Self::NothingAtUrl { .. }
            | Self::RedirectsAway { .. }
            | Self::UnsupportedScheme { .. }
            | Self::RealmNotAllowed { .. }
            | Self::ClockOff { .. }
            | Self::DistrustedByClients { .. }
            | Self::DistrustedByPackageClients { .. }
            | Self::PlainForDocker { .. }
            | Self::OneHourToken { .. } => Severity::Remark,
            Self::ImageAccess(reason) => reason.severity(),
            Self::Refused { .. }
            | Self::TokenExpired { .. }
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
            | Self::Undecided { .. }
            | Self::LoginForbidden { .. }
            | Self::UnsupportedScheme { .. }
            | Self::RealmNotAllowed { .. }
            | Self::RealmForbidden { .. }
            | Self::IdentityTokenUseless { .. } => Step::Credential,
            Self::RateLimited { .. }
            | Self::NotARegistry { .. }
            | Self::NothingAtUrl { .. }
            | Self::RedirectsAway { .. }
            | Self::BadChallenge { .. }
            | Self::NoToken { .. }
            | Self::Failing { .. } => Step::RegistryApi,
            Self::Unreached { fault, .. } => fault.step(),
            Self::DistrustedByClients { .. } | Self::DistrustedByPackageClients { .. } => Step::Tls,
            // A plain registry has no step for TLS.
            Self::PlainForDocker { .. } => Step::Connection,
            Self::NotAKey { .. }
            | Self::NotARefreshToken { .. }
            | Self::ClockOff { .. }
            | Self::OneHourToken { .. } => Step::Values,
            Self::ImageAccess(_) => Step::ImageAccess,
        }
    }
}

/// Why the registry rejected the login, as far as the login itself shows. It follows "HOST rejected
/// the login of USER".
fn because(refusal: RejectionHint, stray: Option<StrayCharacters>) -> String {
    stray.map_or_else(|| refusal.to_string(), |stray| format!(": {stray}"))
}

fn login_of(user: &str) -> String {
    if user.is_empty() { "the token".to_owned() } else { format!("the login of {user}") }
}

fn wait_of(wait: Option<u64>) -> String {
    let wait = wait.and_then(|seconds| i64::try_from(seconds).ok());
    wait.map_or_else(String::new, |seconds| {
        format!(" and asks to wait {}", duration(SignedDuration::from_secs(seconds)))
    })
}
