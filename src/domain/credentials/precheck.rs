//! Checks a credential before it is sent anywhere.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::credential::Credential;
use super::exchange::shortened;
use super::secret::Secret;
use super::stated_expiry::{self, claims_of};
use crate::domain::declarations::declaration::{AwsIdentity, Declaration, Identity};
use crate::domain::declarations::discovery::identity::{SECRET_KEY, is_access_key_id};
use crate::domain::reasons::google_key::KeyFault;
use crate::domain::reasons::rejection::ACR_TOKEN_USER;
use crate::domain::reasons::{AwsReason, Reason, RegistryReason, ValueReason};
use crate::domain::servers::kind::Kind;
use crate::domain::servers::package_server::PackageKind;
use crate::domain::servers::registry_server::RegistryServer;

/// Tokens are longer, and keys and passwords are shorter, in bytes.
const ECR_TOKEN: usize = 200;

/// The usual length of an AWS access key ID. The length of others' secrets is not known.
const KEY_ID: usize = 20;

/// Why `credential` cannot work at `server`, which makes it `invalid`: it is never sent.
pub fn fault_of(server: &RegistryServer, credential: &Credential) -> Option<RegistryReason> {
    let name = || server.name().to_owned();
    let user = credential.user.as_str();
    let secret = credential.secret.reveal();
    if is_google(server) {
        let fault = match user {
            "_json_key" => key_fault(secret),
            "_json_key_base64" => encoded_key_fault(secret),
            _ => None,
        }?;
        return Some(RegistryReason::NotAKey { server: name(), user: user.to_owned(), fault });
    }
    match server.container()?.kind() {
        Kind::Acr if user == ACR_TOKEN_USER && claims_of(&credential.secret).is_none() => {
            Some(RegistryReason::NotARefreshToken { server: name() })
        }
        _ => None,
    }
}

/// What the values of a declaration show before they are sent anywhere, what cannot work first.
pub fn findings(declaration: &Declaration) -> Vec<Reason> {
    let mut found = Vec::new();
    let (user, password) = match &declaration.identity {
        Identity::Password { user, password } => (Some(user.as_str()), password.reveal()),
        Identity::Token(token) => (None, token.reveal()),
        Identity::Aws(AwsIdentity { keys: Some(keys), .. }) => {
            if keys.access_key_id.starts_with("ASIA") && keys.session_token.is_none() {
                let key = shortened(&keys.access_key_id);
                found.push(AwsReason::SessionTokenMissing { key }.into());
            }
            let has_length = keys.secret_access_key.reveal().len() == SECRET_KEY;
            if keys.access_key_id.len() == KEY_ID
                && is_access_key_id(&keys.access_key_id)
                && !has_length
            {
                let value = declaration.password_variable();
                found.push(ValueReason::SecretKeyLength { value }.into());
            }
            (None, keys.secret_access_key.reveal())
        }
        Identity::Aws(_) => return found,
    };
    let is_of_github = match &declaration.server {
        RegistryServer::Container(server) => server.kind() == &Kind::Ghcr,
        RegistryServer::Package(server) => server.kind() == &PackageKind::GithubPackages,
    };
    if is_of_github && password.starts_with("github_pat_") {
        let host = declaration.server.authority().to_owned();
        let value = declaration.password_variable();
        found.push(ValueReason::FineGrainedToken { host, value }.into());
    }
    let Some(server) = declaration.server.container() else { return found };
    match server.kind() {
        Kind::Ecr(_) | Kind::EcrPublic if user == Some("AWS") && !may_be_token(password) => {
            let value = declaration.password_variable();
            found.push(ValueReason::NotAnEcrToken { value }.into());
        }
        Kind::DockerHub if user.is_some_and(|user| user.contains('@')) => {
            found.push(ValueReason::Email { value: declaration.user_variable() }.into());
        }
        _ => {}
    }
    found
}

/// A remark on a `credential` that works, but not for long.
pub fn remark_on(server: &RegistryServer, credential: &Credential) -> Option<RegistryReason> {
    (is_google(server) && credential.user == "oauth2accesstoken")
        .then(|| RegistryReason::OneHourToken { server: server.name().to_owned() })
}

/// Whether a password may be an ECR token, which states its end or is several times as long as a key.
fn may_be_token(password: &str) -> bool {
    password.len() >= ECR_TOKEN || stated_expiry::end_of(&Secret::new(password)).is_some()
}

fn is_google(server: &RegistryServer) -> bool {
    match server {
        RegistryServer::Container(server) => {
            matches!(server.kind(), Kind::Gcr | Kind::ArtifactRegistry)
        }
        RegistryServer::Package(server) => server.kind() == &PackageKind::GooglePackages,
    }
}

/// The required fields of a key file (`google-auth-library-python`,
/// `google/oauth2/service_account.py`). They are borrowed, so that the key is not copied.
#[derive(Deserialize)]
struct KeyFile<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    private_key: Option<&'a RawValue>,
    #[serde(borrow)]
    client_email: Option<Cow<'a, str>>,
}

fn key_fault(text: &str) -> Option<KeyFault> {
    let Ok(key) = serde_json::from_str::<KeyFile<'_>>(text) else {
        return Some(if looks_like_a_path(text) {
            KeyFault::Path
        } else if STANDARD.decode(without_blanks(text)).is_ok_and(|json| json.starts_with(b"{")) {
            KeyFault::Base64
        } else {
            KeyFault::NotJson
        });
    };
    if key.kind.as_ref().is_some_and(|kind| kind != "service_account") {
        return Some(KeyFault::OtherType);
    }
    let has_key = key.private_key.is_some_and(|key| key.get().starts_with("\"-----BEGIN "));
    let has_address = key.client_email.is_some_and(|address| address.contains('@'));
    (key.kind.is_none() || !has_key || !has_address).then_some(KeyFault::Incomplete)
}

fn encoded_key_fault(text: &str) -> Option<KeyFault> {
    if text.trim_start().starts_with('{') {
        return Some(KeyFault::NotBase64);
    }
    let joined = without_blanks(text);
    let Ok(json) = STANDARD.decode(&joined) else {
        return Some(if looks_like_a_path(text) { KeyFault::Path } else { KeyFault::NotJson });
    };
    if joined != text {
        return Some(KeyFault::Wrapped);
    }
    let Ok(json) = std::str::from_utf8(&json) else { return Some(KeyFault::NotJson) };
    key_fault(json)
}

fn looks_like_a_path(text: &str) -> bool {
    let one_line = !text.trim().contains(char::is_whitespace);
    let ends = std::path::Path::new(text.trim()).extension().is_some_and(|end| end == "json");
    one_line && (ends || text.starts_with(['/', '~', '.']))
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}
