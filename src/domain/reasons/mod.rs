//! Every reason and problem that a user can see: a stable code, a sentence, a fix.
//!
//! Status, API, helper and `check` take their text from here, so a reason reads the same
//! everywhere. Each file covers one area. No variant has a field that could contain a secret.
//! `tests/it/troubleshooting` has an example and the cause of each reason, and generates
//! `docs/troubleshooting.md` from them.

pub mod agent;
pub mod aws;
mod aws_fix;
pub mod classification;
pub mod client;
pub mod connection;
mod connection_fix;
pub mod declaration;
mod declaration_classification;
mod declaration_fix;
pub mod duplicate;
pub mod fix_context;
pub mod google_key;
pub mod image_access;
pub mod login;
pub mod problem;
pub mod publish;
mod publish_fix;
pub mod registry;
mod registry_fix;
pub mod rejection;
pub mod remedy;
pub mod source;
pub mod sourced_variable;
pub mod step;
pub mod stray;
pub mod value;

use std::borrow::Cow;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use agent::AgentReason;
pub use aws::AwsReason;
pub use classification::{ReasonKind, Severity};
pub use client::ClientReason;
pub use declaration::DeclarationReason;
pub use fix_context::FixContext;
pub use login::LoginReason;
pub use publish::PublishReason;
pub use registry::RegistryReason;
pub use remedy::Remedy;
pub use source::{SourceReason, Writer};
pub use sourced_variable::SourcedVariable;
pub use step::Step;
pub use value::ValueReason;

/// Why a login is not `ready`, or the content of a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A `<NAME>_CONTAINER_REGISTRY_*` set.
    Declaration(DeclarationReason),
    /// A file or directory that variables come from.
    Source(SourceReason),
    /// A declared value, before it is sent anywhere.
    Value(ValueReason),
    /// A login, independent of what the registry says.
    Login(LoginReason),
    /// The registry's response, or the lack of one.
    Registry(RegistryReason),
    /// The exchange of an AWS identity for a token.
    Aws(AwsReason),
    /// The docker configuration and the clients that read it.
    Publish(PublishReason),
    /// The clients of one shell.
    Client(ClientReason),
    /// The agent, for the user who asks.
    Agent(AgentReason),
}

impl Reason {
    /// A stable identifier for programs, such as `refused`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Declaration(reason) => reason.code(),
            Self::Source(reason) => reason.code(),
            Self::Value(reason) => reason.code(),
            Self::Login(reason) => reason.code(),
            Self::Registry(reason) => reason.code(),
            Self::Aws(reason) => reason.code(),
            Self::Publish(reason) => reason.code(),
            Self::Client(reason) => reason.code(),
            Self::Agent(reason) => reason.code(),
        }
    }

    /// What it is about.
    pub fn kind(&self) -> ReasonKind {
        match self {
            Self::Declaration(_) | Self::Value(_) => ReasonKind::Variables,
            Self::Source(reason) => reason.kind(),
            Self::Login(_) | Self::Registry(_) | Self::Aws(_) => ReasonKind::Login,
            Self::Publish(reason) => reason.kind(),
            Self::Client(_) | Self::Agent(_) => ReasonKind::Client,
        }
    }

    /// Whether it keeps clients from a login.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Declaration(reason) => reason.severity(),
            Self::Source(reason) => reason.severity(),
            Self::Login(reason) => reason.severity(),
            Self::Registry(reason) => reason.severity(),
            Self::Aws(reason) => reason.severity(),
            Self::Publish(reason) => reason.severity(),
            Self::Value(reason) => reason.severity(),
            Self::Client(reason) => reason.severity(),
            Self::Agent(reason) => reason.severity(),
        }
    }

    /// The one registry that it is about, as clients name it; `None` if it is about all, or not
    /// about registries.
    pub fn registry(&self) -> Option<&str> {
        match self {
            Self::Publish(reason) => reason.registry(),
            _ => None,
        }
    }

    /// The step of `check` that it belongs to; `None` if nothing was asked.
    pub fn step(&self) -> Option<Step> {
        Some(match self {
            Self::Declaration(reason) => reason.step(),
            Self::Source(reason) => reason.step(),
            Self::Value(_) => Step::Values,
            Self::Login(reason) => return reason.step(),
            Self::Registry(reason) => reason.step(),
            Self::Aws(reason) => reason.step(),
            Self::Publish(reason) => reason.step(),
            Self::Client(reason) => reason.step(),
            Self::Agent(reason) => reason.step(),
        })
    }

    /// What to do about it, for any login. Starts with a verb, or with "no action needed".
    pub fn fix(&self) -> String {
        self.fix_for(&FixContext::default())
    }

    /// What to do about it, with the names and places of one login, so that the fix can be pasted.
    pub fn fix_for(&self, login: &FixContext) -> String {
        match self {
            Self::Declaration(reason) => reason.fix(),
            Self::Source(reason) => reason.fix(),
            Self::Value(reason) => reason.fix(),
            Self::Login(reason) => reason.fix(login),
            Self::Registry(reason) => reason.fix(login),
            Self::Aws(reason) => reason.fix(login),
            Self::Publish(reason) => reason.fix(),
            Self::Client(reason) => reason.fix(),
            Self::Agent(reason) => reason.fix(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declaration(reason) => reason.fmt(f),
            Self::Source(reason) => reason.fmt(f),
            Self::Value(reason) => reason.fmt(f),
            Self::Login(reason) => reason.fmt(f),
            Self::Registry(reason) => reason.fmt(f),
            Self::Aws(reason) => reason.fmt(f),
            Self::Publish(reason) => reason.fmt(f),
            Self::Client(reason) => reason.fmt(f),
            Self::Agent(reason) => reason.fmt(f),
        }
    }
}

/// Quotes `text` as one word of a shell command, because users paste fixes.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:@+".contains(c)) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

/// A canonical server as people write it.
pub fn shown(server: &str) -> &str {
    if server == "https://index.docker.io/v1/" { "docker.io" } else { server }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(parts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let parts: Vec<_> = parts.into_iter().collect();
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    match parts.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// An instant as people read it, in UTC.
pub(in crate::domain) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A duration as people read it, in its largest unit: a moment less than 2 h is 2 h, not 120 min.
fn duration(length: SignedDuration) -> String {
    match length.abs().as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7170 => format!("{} min", (seconds + 30) / 60),
        seconds @ 7170..171_000 => format!("{} h", (seconds + 1800) / 3600),
        seconds => format!("{} d", (seconds + 43_200) / 86_400),
    }
}

macro_rules! area {
    ($($area:ident($inner:ident)),*) => {$(
        impl From<$inner> for Reason {
            fn from(reason: $inner) -> Self {
                Self::$area(reason)
            }
        }
    )*};
}

area!(
    Declaration(DeclarationReason),
    Source(SourceReason),
    Value(ValueReason),
    Login(LoginReason),
    Registry(RegistryReason),
    Aws(AwsReason),
    Publish(PublishReason),
    Client(ClientReason),
    Agent(AgentReason)
);
