//! The errors of the API, as `application/problem+json` (RFC 9457).

use std::io;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::peer::Peer;
use crate::domain::credentials::login::State;
use crate::wire::api::{ProblemDocument, UNKNOWN_REGISTRY, WITHHELD};

/// A request that is not granted.
#[derive(Debug)]
pub struct ApiError(Box<ProblemDocument>);

impl ApiError {
    fn new(status: StatusCode, title: &str) -> Self {
        Self(Box::new(ProblemDocument {
            title: title.to_owned(),
            status: status.as_u16(),
            code: None,
            detail: None,
            hint: None,
        }))
    }

    fn detail(mut self, detail: &str) -> Self {
        self.0.detail = Some(detail.to_owned());
        self
    }

    fn hint(mut self, hint: &str) -> Self {
        self.0.hint = Some(hint.to_owned());
        self
    }

    fn code(mut self, code: &str) -> Self {
        self.0.code = Some(code.to_owned());
        self
    }

    /// There is nothing at this path.
    pub fn not_found(detail: &str, hint: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found").detail(detail).hint(hint)
    }

    /// Nothing that was asked for is declared or stored.
    pub fn unknown_registry() -> Self {
        Self::not_found(
            "no such registry is declared or stored",
            "registry-agent status shows those that are",
        )
        .code(UNKNOWN_REGISTRY)
    }

    /// The login called `name` has nothing to serve.
    pub fn withheld(name: &str, state: State, reason: Option<&str>) -> Self {
        let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        Self::new(StatusCode::NOT_FOUND, "credential withheld")
            .code(WITHHELD)
            .detail(&format!("the login is {}{why}", state.word()))
            .hint(&format!("run: registry-agent check {name}"))
    }

    /// What was sent is not what belongs there.
    pub fn malformed(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad request").detail(detail)
    }

    /// The resource is there, and not for this method.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
            .detail("the resource does not know this method")
            .hint("see docs/api.md")
    }

    /// The peer is neither the agent's user nor root.
    pub fn foreign_user(peer: Peer) -> Self {
        let who = peer.uid.map_or_else(|| "an unknown user".to_owned(), |uid| format!("uid {uid}"));
        Self::new(StatusCode::FORBIDDEN, "forbidden")
            .detail(&format!("{who} is neither the agent's user nor root"))
            .hint("ask as the user the agent runs as")
    }

    /// A stored login could not be written.
    pub fn not_stored(error: &io::Error) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "login not kept")
            .detail(&format!("the state directory cannot be written: {error}"))
            .hint("make room in it, or make it writable for the agent's user")
    }

    /// The agent ends before it could answer.
    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping").hint("ask again")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::BAD_REQUEST);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, Json(self.0)).into_response()
    }
}
