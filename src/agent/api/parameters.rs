//! The parameters of a request, whose faults are told as all others are.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// What stands behind the `?` of a request.
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
