//! Hides the paths of package registries in what other users receive.

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;

use super::ApiState;
use super::error::ApiError;
use super::peer::Peer;

/// Hides the paths in the response to another user. A path could be shown that contains no token, but
/// nothing tells one from the other.
pub(super) async fn hide_paths_from_others(
    State(state): State<ApiState>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if state.rights.may_use_secrets(peer) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let hidden =
        move |bytes: &[u8]| state.now().secret_paths().hide_in(&String::from_utf8_lossy(bytes));
    let body = if body.size_hint().exact().is_some() {
        let Ok(bytes) = to_bytes(body, usize::MAX).await else {
            return ApiError::stopping().into_response();
        };
        Body::from(hidden(&bytes))
    } else {
        // Each chunk of a stream is a number of whole lines.
        Body::from_stream(
            body.into_data_stream().map(move |chunk| Ok::<_, axum::Error>(hidden(&chunk?))),
        )
    };
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, body)
}
