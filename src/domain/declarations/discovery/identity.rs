//! The identity of a set: a user with a password, a token, or AWS keys.

use std::path::{Path, PathBuf};

use super::PasswordFiles;
use super::validate::Validator;
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::secret::Secret;
use crate::domain::declarations::declaration::{AwsIdentity, AwsKeys, Identity};
use crate::domain::declarations::layers::trim_line_end;
use crate::domain::declarations::variable::{Family, Field};
use crate::domain::reasons::{DeclarationReason, SourceReason, SourcedVariable};
use crate::domain::servers::package_server::PackageKind;
use crate::domain::servers::registry_server::RegistryServer;
use crate::domain::servers::server::Kind;

/// The identity, and the source of the password.
type Credentials = Option<(Identity, String)>;

impl Validator<'_> {
    /// The password file, unless the password itself is set.
    pub(super) fn password_file(&mut self) -> Option<PathBuf> {
        if self.is_set(Field::Password) && self.is_set(Field::PasswordFile) {
            let password = self.sourced(Field::Password);
            let file = self.sourced(Field::PasswordFile);
            self.remark(Field::PasswordFile, DeclarationReason::TwoPasswords { password, file });
            return None;
        }
        self.path(Field::PasswordFile)
    }

    pub(super) fn credentials(
        &mut self,
        server: Option<&RegistryServer>,
        needs_user: bool,
        password_file: Option<&Path>,
        files: &PasswordFiles,
    ) -> Credentials {
        let has_user = self.is_set(Field::User);
        let has_password = self.is_set(Field::Password) || self.is_set(Field::PasswordFile);
        let may_be_aws = server.is_none_or(is_aws);
        if !has_user && !has_password && may_be_aws && !self.means_keys() {
            let source = self.set.values.get(&Field::Server)?.source.to_owned();
            return Some((Identity::Aws(self.aws(None)), source));
        }
        if !has_user && needs_user {
            self.miss(Field::User);
        }
        if !has_password {
            self.miss(Field::Password);
        }
        let (password, source) = self.password(password_file, files)?;
        let Some(user) = self.text(Field::User).map(str::to_owned) else {
            return (!has_user && !needs_user).then_some((Identity::Token(password), source));
        };
        self.remark_on_stray_characters(Field::User, &user, self.sourced(Field::User));
        let is_token = server.and_then(token_user) == Some(user.as_str());
        let identity = if !is_token && server.is_some_and(is_aws) {
            let session_token = self.text(Field::SessionToken).map(Secret::new);
            let keys = AwsKeys { access_key_id: user, secret_access_key: password, session_token };
            Identity::Aws(self.aws(Some(keys)))
        } else {
            Identity::Password { user, password }
        };
        Some((identity, source))
    }

    /// Refuses AWS values that cannot work. A secret key in place of the ID would be sent as it is.
    pub(super) fn refuse_aws_identity(&mut self, credentials: Option<&(Identity, String)>) {
        let Some((Identity::Aws(identity), _)) = credentials else { return };
        if let Some(keys) = &identity.keys {
            let in_file = !self.is_set(Field::Password);
            let field = if in_file { Field::PasswordFile } else { Field::Password };
            let (user, password) = (self.sourced(Field::User), self.sourced(field));
            let has_id = is_access_key_id(&keys.access_key_id);
            match is_access_key_id(keys.secret_access_key.reveal()) {
                true if has_id => {
                    self.refuse(field, DeclarationReason::TwoKeyIds { user, password });
                }
                true => self.refuse(field, DeclarationReason::KeysSwapped { user, password }),
                false if is_secret_key(&keys.access_key_id) => {
                    self.refuse(Field::User, DeclarationReason::SecretKeyAsUser { user });
                }
                false => {}
            }
        }
        if identity.role_arn.as_deref().is_some_and(|role| !is_role(role)) {
            let variable = self.sourced(Field::RoleArn);
            self.refuse(Field::RoleArn, DeclarationReason::BadRole { variable });
        }
    }

    /// Refuses a token that cannot be sent in a header as it is.
    pub(super) fn refuse_in_header(
        &mut self,
        server: Option<&RegistryServer>,
        auth_scheme: Option<AuthScheme>,
        credentials: Option<&(Identity, String)>,
    ) {
        let Some(package) = server.and_then(RegistryServer::package) else { return };
        let (secret, has_user) = match credentials {
            Some((Identity::Token(secret), _)) => (secret, false),
            Some((Identity::Password { password, .. }, _)) => (password, true),
            _ => return,
        };
        let scheme = auth_scheme.unwrap_or(package.scheme_for(package.url(), has_user, &[], None));
        let is_visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        if scheme == AuthScheme::Basic || secret.reveal().bytes().all(is_visible) {
            return;
        }
        let in_file = !self.is_set(Field::Password);
        let field = if in_file { Field::PasswordFile } else { Field::Password };
        let what = if in_file { "the path of a file with " } else { "" };
        let what = format!("{what}a character that no HTTP header may contain");
        self.refuse(field, DeclarationReason::BadValue { variable: self.sourced(field), what });
    }

    /// Whether AWS keys were intended although none are set: there is a session token or a misspelt
    /// variable.
    fn means_keys(&self) -> bool {
        let mut alike = self.set.look_alikes.iter();
        self.is_set(Field::SessionToken)
            || alike.any(|(field, _)| matches!(field, Field::User | Field::Password))
    }

    fn aws(&self, keys: Option<AwsKeys>) -> AwsIdentity {
        let text = |field| self.text(field).map(str::to_owned);
        AwsIdentity { keys, role_arn: text(Field::RoleArn), profile: text(Field::Profile) }
    }

    fn password(&mut self, file: Option<&Path>, files: &PasswordFiles) -> Option<(Secret, String)> {
        if let Some(text) = self.text(Field::Password) {
            let password = (Secret::new(text), self.set.values.get(&Field::Password)?.source);
            let variable = self.sourced(Field::Password);
            self.remark_on_stray_characters(Field::Password, password.0.reveal(), variable);
            return Some((password.0, password.1.to_owned()));
        }
        let path = file?;
        let variable = self.sourced(Field::PasswordFile);
        let reason = match files.get(path)? {
            Ok(secret) => match trim_line_end(secret.reveal()) {
                "" => SourceReason::Empty { path: path.display().to_string() },
                text if text.contains('\0') => {
                    let what = "a file name with a NUL character".to_owned();
                    let reason = DeclarationReason::BadValue { variable, what };
                    self.refuse(Field::PasswordFile, reason);
                    return None;
                }
                text => {
                    let source = self.set.values.get(&Field::PasswordFile)?.source;
                    let file = SourcedVariable::new("the password", path.display().to_string());
                    self.remark_on_stray_characters(Field::PasswordFile, text, file);
                    return Some((Secret::new(text), source.to_owned()));
                }
            },
            Err(reason) => reason.clone(),
        };
        let reason = Box::new(reason);
        self.refuse(Field::PasswordFile, DeclarationReason::PasswordFile { variable, reason });
        None
    }
}

/// Whether a set must have a user. Package registries that take the password as a token need none,
/// and a server that is missing or invalid does not tell.
pub(super) fn needs_user(
    server: Option<&RegistryServer>,
    family: Family,
    auth_scheme: Option<AuthScheme>,
) -> bool {
    match server {
        Some(RegistryServer::Container(_)) => true,
        Some(RegistryServer::Package(server)) => {
            let scheme = auth_scheme.unwrap_or(server.scheme_for(server.url(), false, &[], None));
            scheme == AuthScheme::Basic || matches!(server.kind(), PackageKind::CodeArtifact(_))
        }
        None => family == Family::Container,
    }
}

/// The length of an AWS secret access key.
pub const SECRET_KEY: usize = 40;

/// Whether `text` has the form of an AWS access key ID (AWS's "IAM identifiers").
pub fn is_access_key_id(text: &str) -> bool {
    (16..=128).contains(&text.len())
        && (text.starts_with("AKIA") || text.starts_with("ASIA"))
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Whether `text` has the form of an AWS secret access key, which is random.
fn is_secret_key(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    text.len() == SECRET_KEY
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+'))
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
}

/// Whether `text` has the form `arn:PARTITION:iam::ACCOUNT:role/NAME`.
fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = *parts else { return false };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let name = resource.strip_prefix("role/").unwrap_or_default();
    partition.starts_with("aws") && is_account && !name.is_empty()
}

/// Whether AWS issues the registry's tokens.
fn is_aws(server: &RegistryServer) -> bool {
    token_user(server).is_some()
}

/// The user whose password is a token of AWS already.
pub(super) fn token_user(server: &RegistryServer) -> Option<&'static str> {
    match server {
        RegistryServer::Container(server) => {
            matches!(server.kind(), Kind::Ecr(_) | Kind::EcrPublic).then_some("AWS")
        }
        RegistryServer::Package(server) => {
            matches!(server.kind(), PackageKind::CodeArtifact(_)).then_some("aws")
        }
    }
}
