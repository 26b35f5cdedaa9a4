//! `/v1/events`, `/readyz` and `/metrics`: endpoints for monitoring.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;

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
    let body = if query.follow {
        let (feed, stop) = (state.events.subscribe(), state.stop);
        Body::from_stream(unfold((state.events, feed, 0), move |(events, mut feed, seq)| {
            let stop = stop.clone();
            async move {
                loop {
                    // A reader that is too slow misses only what is no longer kept.
                    let more = events.since(seq);
                    if let Some(last) = more.last().map(|event| event.seq) {
                        return Some((Ok::<_, Infallible>(lines(&more)), (events, feed, last)));
                    }
                    tokio::select! {
                        () = stop.cancelled() => return None,
                        changed = feed.changed() => changed.ok()?,
                    }
                }
            }
        }))
    } else {
        Body::from(lines(&state.events.since(0)))
    };
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn lines(events: &[EventDocument]) -> String {
    // Serializing strings and a timestamp cannot fail.
    events.iter().map(|event| serde_json::to_string(event).unwrap_or_default() + "\n").collect()
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
        view.problems(now).len()
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
