//! The query parameters of a request. Errors in them use the format of all other errors.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The parsed query string of a request.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let parsed = Query::from_request_parts(parts, state).await;
        parsed
            .map(|Query(parameters)| Self(parameters))
            .map_err(|rejection| ApiError::malformed(&rejection.body_text()))
    }
}
