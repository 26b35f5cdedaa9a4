//! `/v1/status`: everything the agent knows, once or after each change.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::ApiState;
use super::request::Parameters;
use crate::wire::api::StatusDocument;

/// The minimum time between two documents, so that a burst of changes leads to few of them.
const INTERVAL: Duration = Duration::from_millis(50);

/// Whether the response continues with changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusQuery {
    #[serde(default)]
    follow: bool,
}

/// `GET /v1/status`. With `follow=true`, one document per line: the current one, and another after
/// each change.
pub async fn get_status(
    State(state): State<ApiState>,
    Parameters(query): Parameters<StatusQuery>,
) -> Response {
    if !query.follow {
        return Json(state.now().document(state.clock.now())).into_response();
    }
    let changes = Changes { state, last: None, looked_at: Instant::now() };
    let lines = stream::unfold(changes, async |mut changes| {
        let status = changes.next().await?;
        Some((Ok::<_, Infallible>(line(&status)), changes))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// The status as it changes.
struct Changes {
    state: ApiState,
    last: Option<StatusDocument>,
    looked_at: Instant,
}

impl Changes {
    /// The current status at first, then the next one that differs; `None` when the agent ends.
    async fn next(&mut self) -> Option<StatusDocument> {
        loop {
            self.looked_at = Instant::now();
            let status = self.state.view.borrow_and_update().document(self.state.clock.now());
            if self.last.as_ref().is_none_or(|last| !last.is_the_same_as(&status)) {
                self.last = Some(status.clone());
                return Some(status);
            }
            tokio::select! {
                () = self.state.stop.cancelled() => return None,
                changed = self.state.view.changed() => changed.ok()?,
            }
            sleep_until(self.looked_at + INTERVAL).await;
        }
    }
}

fn line(status: &StatusDocument) -> String {
    // Serializing strings and timestamps cannot fail.
    serde_json::to_string(status).unwrap_or_default() + "\n"
}
