//! The parts of a request: query, path and body. Errors in them use the format of all other errors.

use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::error::ApiError;

/// How long a client may take to send the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of one variable, in bytes. A password file has the same limit.
pub const VALUE_LIMIT: usize = 1 << 20;
/// The maximum size of a login, in bytes: as much as the file of stored logins may have.
pub const LOGIN_LIMIT: usize = 2 << 20;
/// The maximum size of an environment, in bytes: more than the kernel allows a process.
pub const ENVIRONMENT_LIMIT: usize = 16 << 20;

/// The parsed query string.
pub struct Parameters<T>(pub T);

/// The name or server at the end of a path.
pub struct NameOrServer(pub String);

/// A body of at most `LIMIT` bytes.
pub struct LimitedBody<const LIMIT: usize>(pub Zeroizing<Vec<u8>>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // Invalid UTF-8 would otherwise be replaced, and could then match another name.
        let query = parts.uri.query().unwrap_or_default();
        if percent_encoding::percent_decode_str(query).decode_utf8().is_err() {
            return Err(ApiError::malformed("the query is not UTF-8"));
        }
        let parsed = Query::from_request_parts(parts, state).await;
        parsed
            .map(|Query(parameters)| Self(parameters))
            .map_err(|rejection| ApiError::malformed(&rejection.body_text()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NameOrServer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(name_or_server) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::malformed("the path is not UTF-8"))?;
        Ok(Self(name_or_server))
    }
}

impl<S: Send + Sync, const LIMIT: usize> FromRequest<S> for LimitedBody<LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let read = tokio::time::timeout(BODY_TIMEOUT, read(request, LIMIT));
        read.await.map_err(|_| ApiError::slow_request())?.map(Self)
    }
}

/// Reads a body into one buffer. If the client announces its size, the buffer never grows, so no
/// copy is left behind.
async fn read(request: Request, limit: usize) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let announced = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(ApiError::too_large(limit));
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced));
    let mut chunks = request.into_body().into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::malformed("the body is incomplete"))?;
        if body.len() + chunk.len() > limit {
            return Err(ApiError::too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
