//! The agent's HTTP API on its Unix socket.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::error::ApiError;
use self::peer::{AccessPolicy, Peer};
use super::controller::AgentCommand;
use super::events::Events;
use super::view::View;
use crate::adapters::clock::Clock;
use crate::domain::declarations::source::Variables;
use crate::wire::api::{
    EnvironmentAnswer, EnvironmentDifference, RegistryDocument, StatusDocument,
};
use crate::wire::handoff::conceal;

pub mod access;
pub mod credentials;
pub mod error;
pub mod observe;
pub mod parameters;
pub mod peer;
pub mod refresh;

/// The maximum size of a request, in bytes: a hundred secrets of 48 KB each, and some reserve.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// The state that all handlers share.
#[derive(Clone)]
pub struct ApiState {
    /// The clock.
    pub clock: Clock,
    /// The current view.
    pub view: watch::Receiver<Arc<View>>,
    /// Commands to the controller.
    pub commands: mpsc::Sender<AgentCommand>,
    /// The event log.
    pub events: Events,
    /// Stops the agent.
    pub stop: CancellationToken,
    /// Which users may make which requests.
    pub rights: AccessPolicy,
}

impl ApiState {
    /// The current view.
    pub fn now(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    async fn send_command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> AgentCommand,
    ) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| ApiError::stopping())?;
        answered.await.map_err(|_| ApiError::stopping())
    }
}

/// The routes. Those of [`owner_only`] are available only to the agent's user and to root.
pub fn router(state: ApiState) -> Router {
    let owners = Router::new()
        .route("/v1/credential", get(credentials::get_credential))
        .route("/v1/environment", put(put_environment))
        .route("/v1/environment/difference", post(post_difference))
        .route("/v1/access", get(access::get_access))
        .route("/v1/refresh", post(refresh::post_refresh))
        .route("/v1/logins", post(credentials::post_login).delete(credentials::delete_login))
        .route("/v1/shutdown", post(post_shutdown))
        .route_layer(middleware::from_fn_with_state(state.clone(), owner_only));
    Router::new()
        .route("/v1/status", get(get_status))
        .route("/v1/registries/{asked}", get(get_registry))
        .route("/v1/events", get(observe::get_events))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(observe::get_readiness))
        .route("/metrics", get(observe::get_metrics))
        .merge(owners)
        .fallback(async || ApiError::not_found("no such resource"))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(axum::extract::DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state)
}

async fn owner_only(
    State(state): State<ApiState>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if !state.rights.may_use_secrets(peer) {
        return ApiError::foreign_user(peer).into_response();
    }
    // A request may have waited while this process was stopped. If its client has disconnected
    // since, hyper drops it here: nobody would receive the result.
    tokio::task::yield_now().await;
    next.run(request).await
}

async fn get_status(State(state): State<ApiState>) -> Json<StatusDocument> {
    Json(state.now().document(state.clock.now()))
}

async fn get_registry(
    State(state): State<ApiState>,
    Path(asked): Path<String>,
) -> Result<Json<RegistryDocument>, ApiError> {
    let view = state.now();
    match view.by_name_or_server(&asked) {
        Some(entry) => Ok(Json(entry.document(state.clock.now()))),
        None => Err(ApiError::unknown_registry()),
    }
}

async fn put_environment(
    State(state): State<ApiState>,
    body: axum::body::Bytes,
) -> Result<Json<EnvironmentAnswer>, ApiError> {
    let variables = environment(&body)?;
    Ok(Json(state.send_command(|answer| AgentCommand::Push(variables, answer)).await?))
}

/// `POST /v1/environment/difference`: what `PUT /v1/environment` would change.
async fn post_difference(
    State(state): State<ApiState>,
    body: axum::body::Bytes,
) -> Result<Json<EnvironmentDifference>, ApiError> {
    let variables = environment(&body)?;
    Ok(Json(state.send_command(|answer| AgentCommand::Compare(variables, answer)).await?))
}

fn environment(body: &[u8]) -> Result<Variables, ApiError> {
    serde_json::from_slice(body).map(conceal).map_err(|error| {
        // The message of serde could contain a value.
        ApiError::malformed(&format!(
            "the environment is not a flat JSON object of strings (line {} column {})",
            error.line(),
            error.column()
        ))
    })
}

async fn post_shutdown(State(state): State<ApiState>) -> Json<serde_json::Value> {
    state.stop.cancel();
    Json(serde_json::json!({ "stopping": true }))
}
