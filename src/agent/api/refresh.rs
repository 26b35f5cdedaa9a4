//! `/v1/refresh`: renews and verifies logins now.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::time::Instant;

use super::ApiState;
use super::error::ApiError;
use super::request::Parameters;
use crate::agent::command::{AgentCommand, RefreshRequest};
use crate::wire::api::RegistryDocument;

/// How long the response waits for requests to finish.
const REFRESH_TIMEOUT: Duration = Duration::from_mins(1);

/// What to refresh, and how to answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshQuery {
    registry: Option<String>,
    except: Option<Exception>,
    #[serde(default)]
    follow: bool,
}

/// The logins to leave alone.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Exception {
    /// Those that were refused or told to come back later.
    Refused,
}

/// `POST /v1/refresh`: responds with the affected logins once their requests have finished. With
/// `follow=true`, responds with one login per line as soon as it has finished.
pub async fn post_refresh(
    State(state): State<ApiState>,
    Parameters(query): Parameters<RefreshQuery>,
) -> Result<Response, ApiError> {
    let servers = match &query.registry {
        None => None,
        Some(asked) => {
            let view = state.now();
            let selected = view.selected(asked).into_iter();
            let names = selected.map(|entry| entry.login.declaration.server.name().to_owned());
            let names: BTreeSet<String> = names.collect();
            if names.is_empty() {
                return Err(ApiError::unknown_registry());
            }
            Some(names)
        }
    };
    let request = RefreshRequest {
        servers: servers.clone(),
        except_refused: query.except == Some(Exception::Refused),
    };
    state.send_command(|answer| AgentCommand::Refresh(request, answer)).await?;
    let selected =
        |name: &&Arc<str>| servers.as_ref().is_none_or(|servers| servers.contains(&***name));
    let waiting = state.now().entries.keys().filter(selected).cloned().collect();
    let progress = Progress { state, waiting, deadline: Instant::now() + REFRESH_TIMEOUT };
    if query.follow {
        let lines = stream::unfold(progress, async |mut progress| {
            let finished = progress.next().await?;
            Some((Ok::<_, Infallible>(finished.iter().map(line).collect::<String>()), progress))
        });
        let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
        return Ok((kind, Body::from_stream(lines)).into_response());
    }
    Ok(Json(progress.all().await).into_response())
}

/// The logins whose requests have not finished.
struct Progress {
    state: ApiState,
    waiting: BTreeSet<Arc<str>>,
    deadline: Instant,
}

impl Progress {
    /// The logins that have finished since the last call; `None` after the last one. After the time
    /// limit, all others as they are.
    async fn next(&mut self) -> Option<Vec<RegistryDocument>> {
        while !self.waiting.is_empty() {
            let finished = self.finished();
            if !finished.is_empty() {
                return Some(finished);
            }
            let changed = tokio::time::timeout_at(self.deadline, self.state.view.changed());
            if changed.await.is_ok_and(|changed| changed.is_err()) {
                return None;
            }
        }
        None
    }

    /// Those of the waiting logins that have finished.
    fn finished(&mut self) -> Vec<RegistryDocument> {
        let late = Instant::now() >= self.deadline;
        let (now, view) = (self.state.clock.now(), self.state.view.borrow_and_update().clone());
        let mut finished = Vec::new();
        self.waiting.retain(|server| {
            // A login that was removed meanwhile has no result.
            let Some(entry) = view.entries.get(server) else { return false };
            let ends = late || !entry.busy;
            if ends {
                finished.push(entry.document(now));
            }
            !ends
        });
        finished
    }

    /// All logins, sorted by server.
    async fn all(mut self) -> Vec<RegistryDocument> {
        let mut finished = Vec::new();
        while let Some(more) = self.next().await {
            finished.extend(more);
        }
        finished.sort_by(|one, other| one.server.cmp(&other.server));
        finished
    }
}

fn line(registry: &RegistryDocument) -> String {
    // Serializing strings and timestamps cannot fail.
    let mut line = serde_json::to_string(registry).unwrap_or_default();
    line.push('\n');
    line
}
