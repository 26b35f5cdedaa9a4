//! The one catalogue of everything that can be wrong: a stable code, a sentence, a fix.
//!
//! Status, API, helper and `check` all speak from here, so a reason reads the same wherever it is
//! met. Each file holds one area. A sentence names the variable, the file or the server, and never a
//! secret: no variant has a field that could hold one.

pub mod aws;
pub mod connection;
pub mod declaration;
pub mod google_key;
pub mod image_access;
pub mod login;
pub mod problem;
pub mod publish;
pub mod registry;
pub mod rejection;
pub mod source;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use aws::AwsReason;
pub use declaration::DeclarationReason;
pub use login::LoginReason;
pub use publish::PublishReason;
pub use registry::RegistryReason;
pub use source::SourceReason;

/// Why a login is not `ready`, or what a problem is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// What was declared.
    Declaration(DeclarationReason),
    /// Where it was declared.
    Source(SourceReason),
    /// What the agent itself knows of a login.
    Login(LoginReason),
    /// What the registry said.
    Registry(RegistryReason),
    /// What AWS said.
    Aws(AwsReason),
    /// The docker configuration and the clients that read it.
    Publish(PublishReason),
}

impl Reason {
    /// A stable word for programs, such as `wrong-password`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Declaration(reason) => reason.code(),
            Self::Source(reason) => reason.code(),
            Self::Login(reason) => reason.code(),
            Self::Registry(reason) => reason.code(),
            Self::Aws(reason) => reason.code(),
            Self::Publish(reason) => reason.code(),
        }
    }

    /// What to do about it, as one sentence in the imperative.
    pub fn fix(&self) -> String {
        match self {
            Self::Declaration(reason) => reason.fix(),
            Self::Source(reason) => reason.fix(),
            Self::Login(reason) => reason.fix(),
            Self::Registry(reason) => reason.fix(),
            Self::Aws(reason) => reason.fix(),
            Self::Publish(reason) => reason.fix(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declaration(reason) => reason.fmt(f),
            Self::Source(reason) => reason.fmt(f),
            Self::Login(reason) => reason.fmt(f),
            Self::Registry(reason) => reason.fmt(f),
            Self::Aws(reason) => reason.fmt(f),
            Self::Publish(reason) => reason.fmt(f),
        }
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
    Login(LoginReason),
    Registry(RegistryReason),
    Aws(AwsReason),
    Publish(PublishReason)
);
