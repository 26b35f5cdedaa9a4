//! The errors of the API, as `application/problem+json` (RFC 9457).

use std::io;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::peer::Peer;
use crate::domain::credentials::login::State;
use crate::domain::reasons::problem::Problem;
use crate::wire::api::{INCOMPLETE, ProblemDocument, UNKNOWN_REGISTRY, WITHHELD};

/// An error response.
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

    /// No such resource.
    pub fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found").detail(detail)
    }

    /// The registry is neither declared nor stored.
    pub fn unknown_registry() -> Self {
        Self::not_found("this registry is neither declared nor stored")
            .hint("run `registry-agent status` to list the registries")
            .code(UNKNOWN_REGISTRY)
    }

    /// Variables declare the registry, but their set cannot be used.
    pub fn unusable_set(problem: &Problem) -> Self {
        Self::new(StatusCode::NOT_FOUND, "incomplete declaration")
            .code(INCOMPLETE)
            .detail(&problem.reason.to_string())
            .hint(&format!("run `registry-agent check {}`", problem.name))
    }

    /// The login `name` exists, but its credential is withheld.
    pub fn withheld(name: &str, state: State, reason: Option<&str>) -> Self {
        let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        Self::new(StatusCode::NOT_FOUND, "credential withheld")
            .code(WITHHELD)
            .detail(&format!("the login is {}{why}", state.as_str()))
            .hint(&format!("run `registry-agent check {name}`"))
    }

    /// The request cannot be parsed.
    pub fn malformed(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad request").detail(detail)
    }

    /// The resource exists, but does not support this method.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
            .detail("this resource does not support the method")
    }

    /// The peer is neither the agent's user nor root.
    pub fn foreign_user(peer: Peer) -> Self {
        let who = peer.uid.map_or_else(|| "an unknown user".to_owned(), |uid| format!("uid {uid}"));
        Self::new(StatusCode::FORBIDDEN, "forbidden")
            .detail(&format!("{who} is neither the agent's user nor root"))
            .hint("send the request as the agent's user")
    }

    /// A stored login could not be written.
    pub fn not_stored(error: &io::Error) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "login not stored")
            .detail(&format!("the state directory cannot be written: {error}"))
            .hint("free space in it, or give the agent's user permission to write it")
    }

    /// The agent stops before it can respond.
    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping")
            .hint("send the request again")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::BAD_REQUEST);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, Json(self.0)).into_response()
    }
}
