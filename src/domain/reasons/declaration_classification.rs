//! Code, severity and step of what is wrong with a set of variables.

use super::Severity;
use super::declaration::DeclarationReason;
use super::step::Step;

impl DeclarationReason {
    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "variable-missing",
            Self::Misnamed { .. } => "variables-misnamed",
            Self::Split { .. } => "set-split",
            Self::InUnreadFile { .. } => "variable-in-unread-file",
            Self::IncompletePush { .. } => "set-kept",
            Self::Lost { .. } => "login-lost",
            Self::SpellingIgnored { .. } | Self::OtherSpelling { .. } => "spelling-ignored",
            Self::EmptyServer { .. } => "server-empty",
            Self::BadServer { .. } => "server-not-understood",
            Self::WebSite { .. } => "server-is-a-web-site",
            Self::PackageHost { .. } => "server-has-packages",
            Self::KeysSwapped { .. } => "aws-keys-swapped",
            Self::TwoKeyIds { .. } => "aws-two-key-ids",
            Self::SecretKeyAsUser { .. } => "aws-secret-key-as-user",
            Self::BadRole { .. } => "aws-role-not-an-arn",
            Self::BadProxy { .. } => "proxy-not-a-url",
            Self::BadValue { .. } => "value-refused",
            Self::NotExpanded { .. } => "value-not-expanded",
            Self::Quoted { .. } => "value-quoted",
            Self::WhiteSpace { .. } => "value-white-space",
            Self::TwoPasswords { .. } => "two-passwords",
            Self::BadScheme { .. } => "scheme-not-known",
            Self::BadName { .. } => "name-refused",
            Self::RelativePath { .. } => "path-relative",
            Self::PasswordFile { .. } => "password-file",
            Self::TokenAlready { .. } => "token-already",
            Self::Duplicate(_) => "server-declared-twice",
            Self::PathDropped { .. } => "path-ignored",
            Self::OnlyForEcr { .. } => "only-for-ecr",
        }
    }

    /// Whether it keeps clients from a login. The others leave a login that works.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Missing { .. }
            | Self::Lost { .. }
            | Self::Misnamed { .. }
            | Self::Split { .. }
            | Self::InUnreadFile { .. }
            | Self::EmptyServer { .. }
            | Self::BadServer { .. }
            | Self::WebSite { .. }
            | Self::PackageHost { .. }
            | Self::KeysSwapped { .. }
            | Self::TwoKeyIds { .. }
            | Self::SecretKeyAsUser { .. }
            | Self::Quoted { is_refused: true, .. }
            | Self::BadRole { .. }
            | Self::BadProxy { .. }
            | Self::BadValue { .. }
            | Self::BadScheme { .. }
            | Self::NotExpanded { .. }
            | Self::BadName { .. }
            | Self::RelativePath { .. }
            | Self::PasswordFile { .. } => Severity::Error,
            Self::IncompletePush { .. }
            | Self::SpellingIgnored { .. }
            | Self::OtherSpelling { .. }
            | Self::Quoted { is_refused: false, .. }
            | Self::WhiteSpace { .. }
            | Self::TwoPasswords { .. }
            | Self::Duplicate(_)
            | Self::PathDropped { .. }
            | Self::TokenAlready { .. }
            | Self::OnlyForEcr { .. } => Severity::Remark,
        }
    }

    /// The step of `check` that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::BadServer { .. }
            | Self::WebSite { .. }
            | Self::PackageHost { .. }
            | Self::PathDropped { .. } => Step::Server,
            Self::BadScheme { .. }
            | Self::KeysSwapped { .. }
            | Self::TwoKeyIds { .. }
            | Self::SecretKeyAsUser { .. }
            | Self::BadRole { .. }
            | Self::BadProxy { .. }
            | Self::BadValue { .. }
            | Self::NotExpanded { .. }
            | Self::Quoted { .. }
            | Self::WhiteSpace { .. } => Step::Values,
            _ => Step::Declared,
        }
    }
}
