//! `/v1/events` and `/readyz`: endpoints for monitoring.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;

use super::ApiState;
use super::request::Parameters;
use crate::wire::api::EventDocument;

/// Whether the response continues with new events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
                    let more = events.since(seq);
                    // The response ends for a reader that is too slow to get every event.
                    if seq > 0 && more.first().is_some_and(|first| first.seq > seq + 1) {
                        return None;
                    }
                    if let Some(last) = more.last().map(|event| event.seq) {
                        return Some((Ok::<_, Infallible>(lines(&more)), (events, feed, last)));
                    }
                    tokio::select! {
                        // The last event may be that the agent stops.
                        biased;
                        changed = feed.changed() => changed.ok()?,
                        () = stop.cancelled() => return None,
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
