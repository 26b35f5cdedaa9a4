//! The errors of the API, as `application/problem+json` (RFC 9457).

use std::io;

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::peer::Peer;
use crate::domain::credentials::login::State;
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::{DeclarationReason, Reason};
use crate::wire::api::{INCOMPLETE, ProblemDocument, UNKNOWN_REGISTRY, WITHHELD};

const CONTENT_TYPE: &str = "application/problem+json";
const SEE_DOCUMENT: &str = "`GET /v1/openapi.json` describes every request";

/// An error response.
#[derive(Debug)]
pub struct ApiError(Box<ProblemDocument>);

impl ApiError {
    fn new(status: StatusCode, title: &str, detail: &str, hint: &str) -> Self {
        Self(Box::new(ProblemDocument {
            title: title.to_owned(),
            status: status.as_u16(),
            code: None,
            detail: Some(detail.to_owned()),
            hint: Some(hint.to_owned()),
        }))
    }

    fn code(mut self, code: &str) -> Self {
        self.0.code = Some(code.to_owned());
        self
    }

    /// Whether this is the error with this code.
    pub fn is(&self, code: &str) -> bool {
        self.0.code.as_deref() == Some(code)
    }

    /// No such resource.
    pub fn no_resource(uri: &Uri) -> Self {
        let detail = format!("there is no resource {}", uri.path());
        Self::new(StatusCode::NOT_FOUND, "not found", &detail, SEE_DOCUMENT)
    }

    /// The registry is neither declared nor stored.
    pub fn unknown_registry() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not found",
            "this registry is neither declared nor stored",
            "run `registry-agent status` to list the registries",
        )
        .code(UNKNOWN_REGISTRY)
    }

    /// Variables declare the registry, but their set cannot be used.
    pub fn unusable_set(problem: &Problem) -> Self {
        let hint = match &problem.reason {
            // `check` has nothing to add.
            Reason::Declaration(DeclarationReason::Lost { .. }) => {
                "run `registry-agent sync` in a shell that has the variables".to_owned()
            }
            _ => format!("run `registry-agent check {}`", problem.name),
        };
        let detail = problem.reason.to_string();
        Self::new(StatusCode::NOT_FOUND, "incomplete declaration", &detail, &hint).code(INCOMPLETE)
    }

    /// The login `name` exists, but its credential is withheld.
    pub fn withheld(name: &str, state: State, reason: Option<&str>) -> Self {
        let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        Self::new(
            StatusCode::NOT_FOUND,
            "credential withheld",
            &format!("the login is {}{why}", state.as_str()),
            &format!("run `registry-agent check {name}`"),
        )
        .code(WITHHELD)
    }

    /// The request cannot be parsed.
    pub fn malformed(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad request", detail, SEE_DOCUMENT)
    }

    /// The request is not valid HTTP, or its head is too large.
    pub fn not_parsed(status: StatusCode) -> Self {
        match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::new(
                status,
                "header too large",
                "the request has more than 64 header fields or 16 KiB of them",
                "send fewer or shorter header fields",
            ),
            StatusCode::URI_TOO_LONG => Self::new(
                status,
                "URI too long",
                "the URI of the request is too long",
                "send a shorter URI",
            ),
            _ => Self::new(
                status,
                "bad request",
                "the request is not valid HTTP/1.1",
                "use an HTTP client, such as `curl --unix-socket`",
            ),
        }
    }

    /// The resource exists, but does not support this method.
    pub fn method_not_allowed(method: &Method, uri: &Uri) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method not allowed",
            &format!("{} does not support {method}", uri.path()),
            "use a method from the `Allow` header field",
        )
    }

    /// The client did not send the whole request in time.
    pub fn slow_request() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request timeout",
            "the request was not complete within 10 s",
            "send the request again",
        )
    }

    /// The body, or one variable in it, is longer than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "content too large",
            &format!("the body of this request may have at most {} MiB", limit >> 20),
            "send a smaller body",
        )
    }

    /// One variable is longer than `limit` bytes.
    pub fn variable_too_large(name: &str, limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "content too large",
            &format!("the value of {name} is longer than {} MiB", limit >> 20),
            &format!("set {name} to a shorter value"),
        )
    }

    /// The peer is neither the agent's user nor root.
    pub fn foreign_user(peer: Peer) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            &format!("{peer} is neither the agent's user nor root"),
            "send the request as the agent's user",
        )
    }

    /// The peer has more connections than the agent accepts from other users.
    pub fn too_many_connections(peer: Peer) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many connections",
            &format!("{peer}, or all users other than the agent's, have too many connections"),
            "close connections that are not in use",
        )
    }

    /// A stored login could not be written.
    pub fn not_stored(error: &io::Error) -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "login not stored",
            &error.to_string(),
            "free space on its file system, or let the agent's user write to its directory",
        )
    }

    /// The agent stops before it can respond.
    pub fn stopping() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the agent is stopping",
            "the agent stops before it can respond",
            "send the request again",
        )
    }

    /// The whole response, for a connection that ends after it.
    pub fn to_http(&self) -> Vec<u8> {
        // Serializing strings cannot fail.
        let body = serde_json::to_string(&self.0).unwrap_or_default();
        let reason = self.status().canonical_reason().unwrap_or_default();
        format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            self.0.status,
            body.len(),
        )
        .into_bytes()
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::BAD_REQUEST)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        (self.status(), [kind], Json(self.0)).into_response()
    }
}
