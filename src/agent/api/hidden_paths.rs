//! Hides the paths of URLs from other users: that of a package registry may contain a token.

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;

use super::ApiState;
use super::error::ApiError;
use super::peer::Peer;

/// docker's name for Docker Hub, whose path everybody knows.
const DOCKER_HUB: &str = "index.docker.io/v1/";

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
    let hidden = |bytes: &[u8]| without_paths(&String::from_utf8_lossy(bytes));
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

/// The text with `…` instead of the path of each URL.
fn without_paths(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        shown.push_str(before);
        let is_url = before.ends_with("http://") || before.ends_with("https://");
        let end = after.find(|c| !is_of_url(c)).unwrap_or(after.len());
        let (url, after) = after.split_at(if is_url { end } else { 0 });
        match url.split_once('/') {
            Some((authority, path)) if !path.is_empty() && url != DOCKER_HUB => {
                shown.extend([authority, "/…"]);
            }
            _ => shown.push_str(url),
        }
        rest = after;
    }
    shown + rest
}

/// Whether the character may be in a URL (RFC 3986, section 2).
fn is_of_url(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~%/?#[]@!$&'()*+,;=:".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_each_url_is_hidden() {
        for (text, shown) in [
            ("", ""),
            ("no URL: a/b", "no URL: a/b"),
            ("https://h.test/", "https://h.test/"),
            ("https://h.test:8443/t0k/a%2Fb/ is ready", "https://h.test:8443/… is ready"),
            (r#"{"a":"http://[::1]:1/t/","b":"c/d"}"#, r#"{"a":"http://[::1]:1/…","b":"c/d"}"#),
            (
                "`check https://h.test/t/`, or https://i.test/u",
                "`check https://h.test/…`, or https://i.test/…",
            ),
            ("https://index.docker.io/v1/ is ready", "https://index.docker.io/v1/ is ready"),
            ("https://index.docker.io/v1/t", "https://index.docker.io/…"),
            ("https://h.test/redirect/https://i.test/t", "https://h.test/…"),
            ("ftp://h.test/t", "ftp://h.test/t"),
            ("://", "://"),
        ] {
            assert_eq!(without_paths(text), shown);
        }
    }
}
