//! A token server for a real `docker-registry`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::SigningKey as _;
use serde_json::json;

use super::authority::Identity;
use super::scripted_registry::{ReceivedRequest, ScriptedRegistry, json as reply_json};

/// The issuer of the tokens.
pub(crate) const ISSUER: &str = "The token server";
/// The registry that the tokens are for.
pub(crate) const SERVICE: &str = "The registry";

/// A user, a password, and the actions granted on every repository.
pub(crate) type User = (&'static str, &'static str, &'static [&'static str]);

/// Starts a server on loopback, without TLS.
pub(crate) async fn start(signer: Identity, users: &'static [User]) -> ScriptedRegistry {
    ScriptedRegistry::start("127.0.0.1:0", None, move |heard: &ReceivedRequest| {
        let shown = heard.header("authorization").unwrap_or_default();
        let user = users.iter().find(|(user, password, _)| {
            shown == format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        });
        let Some((user, _, actions)) = user else {
            return reply_json(401, &[], r#"{"details":"who are you?"}"#);
        };
        let url = url::Url::parse(heard.line.split_once(' ').unwrap().1).unwrap();
        let scope = url.query_pairs().find(|(name, _)| name == "scope").map(|(_, it)| it);
        let token = sign(&signer, user, scope.as_deref(), actions);
        reply_json(200, &[], &json!({"token": token}).to_string())
    })
    .await
}

/// A token in the registry's format (`distribution/distribution`, "Token Authentication
/// Implementation") for the granted part of the requested scope.
fn sign(signer: &Identity, user: &str, scope: Option<&str>, actions: &[&str]) -> String {
    let access: Vec<_> = scope
        .iter()
        .filter_map(|scope| {
            let (resource, asked) = scope.rsplit_once(':')?;
            let (kind, name) = resource.split_once(':')?;
            let granted: Vec<_> = asked.split(',').filter(|it| actions.contains(it)).collect();
            Some(json!({"type": kind, "name": name, "actions": granted}))
        })
        .collect();
    let certificate = STANDARD.encode(signer.certificate.der());
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [certificate]});
    let claims = json!({
        "iss": ISSUER, "sub": user, "aud": SERVICE, "exp": 4_000_000_000_u64, "nbf": 0, "iat": 0,
        "jti": "1", "access": access,
    });
    let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let text = format!("{}.{}", encode(&header), encode(&claims));
    let signature = signer.key.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
