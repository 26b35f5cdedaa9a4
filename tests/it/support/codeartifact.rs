//! The part of the fake AWS that is `CodeArtifact`: it issues tokens for domains, and its repositories
//! accept only live ones, each format in its own way.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, Uri};

use super::aws::{Inner, error, json};

/// The host of the domain `acme` of `CodeArtifact`.
pub(crate) const HOST: &str = "acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com";

/// The formats that have repositories, as the beginnings of their paths.
pub(super) const FORMATS: [&str; 4] = ["/npm/", "/cargo/", "/pypi/", "/maven/"];

/// The response of a repository, and how long it takes.
pub(super) fn repository(
    inner: &mut Inner,
    path: &str,
    headers: &HeaderMap,
) -> (Response<Body>, Duration) {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    if let Some(header) = authorization.filter(|it| accepts(inner, path, it)) {
        let Some(file) = inner.files.get(path) else {
            return (Response::new("{}".into()), Duration::ZERO);
        };
        let response = Response::new(file.clone().into());
        inner.reading_tokens.insert(header.to_owned());
        // cargo queues all downloads at once, each with the token of that moment.
        let delay = if path.contains("/dl/") { Duration::ZERO } else { inner.file_delay };
        return (response, delay);
    }
    inner.registry_refusals += usize::from(authorization.is_some());
    let response = Response::builder()
        .status(401)
        .header("www-authenticate", "Basic realm=\"CodeArtifact\"")
        .body("{}".into())
        .unwrap();
    (response, Duration::ZERO)
}

/// Whether a repository of `CodeArtifact` accepts the header in a request for this path.
fn accepts(inner: &Inner, path: &str, authorization: &str) -> bool {
    let sends_bearer = path.starts_with("/npm/") || path.starts_with("/cargo/");
    match authorization.strip_prefix("Bearer ") {
        Some(token) => sends_bearer && inner.is_live(token),
        None => !sends_bearer && inner.is_basic(authorization, "aws:"),
    }
}

/// A token for one of the domains. Its parameters are in the query.
pub(super) fn token(inner: &mut Inner, method: &Method, uri: &Uri) -> Response<Body> {
    let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query: HashMap<String, String> = query.into_owned().collect();
    let parameter = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let (domain, owner) = (parameter("domain"), parameter("domain-owner"));
    if method != Method::POST || parameter("duration") != "43200" {
        return error("codeartifact", 400, "ValidationException", "not as the agent asks");
    }
    if !inner.domains.contains(&format!("{domain} {owner}")) {
        let message = format!("Domain not found. Domain '{domain}' does not exist.");
        return error("codeartifact", 404, "ResourceNotFoundException", &message);
    }
    let end = inner.now() + inner.token_life;
    let token = format!("codeartifact-token-{}", inner.tokens.len());
    inner.tokens.insert(token.clone(), end);
    let end = end.as_duration().as_secs_f64();
    json(200, &format!(r#"{{"authorizationToken":"{token}","expiration":{end:.3}}}"#))
}
