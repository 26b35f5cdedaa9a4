//! The agent's HTTP API on its Unix socket.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::parameters::Parameters;
use super::events::Events;
use super::owner::Command;
use super::peer::{Peer, Rights};
use super::refusal::Refusal;
use super::view::View;
use crate::domain::source::Variables;
use crate::edge::clock::Clock;
use crate::wire::api::{EnvironmentAnswer, RegistryDocument, StatusDocument};
use crate::wire::memory::conceal;

pub mod credentials;
pub mod observe;
pub mod parameters;

/// The largest request: a hundred secrets of 48 KB, and room for those of larger places.
const LARGEST_BODY: usize = 64 * 1024 * 1024;
/// How long `POST /v1/refresh` waits for its work.
const REFRESH_PATIENCE: Duration = Duration::from_mins(1);

/// What the handlers share.
#[derive(Clone)]
pub struct Shared {
    /// The clock.
    pub clock: Clock,
    /// What the agent knows.
    pub view: watch::Receiver<Arc<View>>,
    /// The way to the owner.
    pub commands: mpsc::Sender<Command>,
    /// What happened.
    pub events: Events,
    /// Ends the agent.
    pub stop: CancellationToken,
    /// Who may ask for what.
    pub rights: Rights,
}

impl Shared {
    /// What the agent knows now.
    pub fn now(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    async fn order<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Refusal::ending())?;
        answered.await.map_err(|_| Refusal::ending())
    }
}

/// The routes. Those of [`owner_only`] answer the agent's user and root alone.
pub fn router(shared: Shared) -> Router {
    let owners = Router::new()
        .route("/v1/credential", get(credentials::get_credential))
        .route("/v1/environment", put(put_environment))
        .route("/v1/refresh", post(post_refresh))
        .route("/v1/logins", post(credentials::post_login).delete(credentials::delete_login))
        .route("/v1/shutdown", post(post_shutdown))
        .route_layer(middleware::from_fn_with_state(shared.clone(), owner_only));
    Router::new()
        .route("/v1/status", get(get_status))
        .route("/v1/registries/{asked}", get(get_registry))
        .route("/v1/events", get(observe::get_events))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(observe::get_readiness))
        .route("/metrics", get(observe::get_metrics))
        .merge(owners)
        .fallback(async || Refusal::not_found("no such resource", "see docs/api.md"))
        .method_not_allowed_fallback(async || Refusal::wrong_method())
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(shared)
}

async fn owner_only(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if shared.rights.may_use_secrets(peer) {
        next.run(request).await
    } else {
        Refusal::stranger(peer).into_response()
    }
}

async fn get_status(State(shared): State<Shared>) -> Json<StatusDocument> {
    Json(shared.now().document(shared.clock.now()))
}

async fn get_registry(
    State(shared): State<Shared>,
    Path(asked): Path<String>,
) -> Result<Json<RegistryDocument>, Refusal> {
    let view = shared.now();
    match view.by_name_or_server(&asked) {
        Some(entry) => Ok(Json(entry.document(shared.clock.now()))),
        None => Err(Refusal::unknown_registry()),
    }
}

async fn put_environment(
    State(shared): State<Shared>,
    body: axum::body::Bytes,
) -> Result<Json<EnvironmentAnswer>, Refusal> {
    let variables: Variables = serde_json::from_slice(&body).map(conceal).map_err(|error| {
        // The message of serde could quote a value.
        Refusal::malformed(&format!(
            "the environment is not one flat object of names and texts (line {} column {})",
            error.line(),
            error.column()
        ))
    })?;
    Ok(Json(shared.order(|answer| Command::Push(variables, answer)).await?))
}

#[derive(Deserialize)]
struct RefreshQuery {
    registry: Option<String>,
}

/// Answers when the exchange and the verification have ended, with the registries in question.
async fn post_refresh(
    State(mut shared): State<Shared>,
    Parameters(query): Parameters<RefreshQuery>,
) -> Result<Json<Vec<RegistryDocument>>, Refusal> {
    let server = match &query.registry {
        None => None,
        Some(asked) => {
            let view = shared.now();
            let entry = view.by_name_or_server(asked).ok_or_else(Refusal::unknown_registry)?;
            Some(entry.login.declaration.server.name().to_owned())
        }
    };
    shared.order(|answer| Command::Refresh(server.clone(), answer)).await?;
    let meant = |name: &str| server.as_deref().is_none_or(|server| server == name);
    let idle =
        |view: &Arc<View>| view.entries.iter().all(|(name, entry)| !meant(name) || !entry.busy);
    // Beyond its patience the answer tells how far things are.
    let _ = tokio::time::timeout(REFRESH_PATIENCE, shared.view.wait_for(idle)).await;
    let (view, now) = (shared.now(), shared.clock.now());
    Ok(Json(
        view.entries
            .iter()
            .filter(|(name, _)| meant(name))
            .map(|(_, entry)| entry.document(now))
            .collect(),
    ))
}

async fn post_shutdown(State(shared): State<Shared>) -> Json<serde_json::Value> {
    shared.stop.cancel();
    Json(serde_json::json!({ "stopping": true }))
}
