//! `/v1/events`, `/readyz` and `/metrics`: endpoints for monitoring.

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::ApiState;
use super::parameters::Parameters;
use crate::wire::api::EventDocument;

/// Whether the response continues with new events.
#[derive(Deserialize)]
pub struct EventsQuery {
    #[serde(default)]
    follow: bool,
}

/// `GET /v1/events`: one JSON document per line, oldest first.
pub async fn get_events(
    State(state): State<ApiState>,
    Parameters(query): Parameters<EventsQuery>,
) -> Response {
    let (past, feed) = state.events.subscribe();
    let past: String = past.iter().map(line).collect();
    let body = if query.follow {
        let stop = state.stop.clone();
        let first =
            futures_util::stream::once(async move { Ok::<_, std::convert::Infallible>(past) });
        let rest = futures_util::stream::unfold((feed, stop), async |(mut feed, stop)| {
            loop {
                let next = tokio::select! {
                    () = stop.cancelled() => return None,
                    next = feed.recv() => next,
                };
                match next {
                    Ok(event) => return Some((Ok(line(&event)), (feed, stop))),
                    // A reader that is too slow misses events.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        Body::from_stream(futures_util::StreamExt::chain(first, rest))
    } else {
        Body::from(past)
    };
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn line(event: &EventDocument) -> String {
    // Serializing strings and a timestamp cannot fail.
    let mut line = serde_json::to_string(event).unwrap_or_default();
    line.push('\n');
    line
}

/// `GET /readyz`: 200 once every source has been read and no login is pending.
pub async fn get_readiness(State(state): State<ApiState>) -> (StatusCode, &'static str) {
    if state.now().settled(state.clock.now()) {
        (StatusCode::OK, "settled\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "pending\n")
    }
}

/// `GET /metrics`, in the Prometheus text format.
pub async fn get_metrics(State(state): State<ApiState>) -> Response {
    use std::fmt::Write;
    let (view, now) = (state.now(), state.clock.now());
    let mut text = String::from(
        "# HELP registry_agent_login Whether a login is in a state.\n\
         # TYPE registry_agent_login gauge\n",
    );
    let mut ends = String::from(
        "# HELP registry_agent_credential_expires_seconds When the credential ends, as Unix time.\n\
         # TYPE registry_agent_credential_expires_seconds gauge\n",
    );
    for entry in view.entries.values() {
        let (server, state) = (entry.login.declaration.server.name(), entry.login.state(now));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "registry_agent_login{{server=\"{server}\",state=\"{}\"}} 1",
            state.as_str()
        );
        if let Some(end) = entry.login.credential.as_ref().and_then(|c| c.expires_at) {
            let _ = writeln!(
                ends,
                "registry_agent_credential_expires_seconds{{server=\"{server}\"}} {}",
                end.as_second()
            );
        }
    }
    let _ = write!(
        text,
        "{ends}# HELP registry_agent_problems What a user should put right.\n\
         # TYPE registry_agent_problems gauge\nregistry_agent_problems {}\n",
        view.problems.len()
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
