//! The agent's HTTP API on its Unix socket.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::error::ApiError;
use self::hidden_paths::hide_paths_from_others;
use self::peer::{AccessPolicy, Peer};
use self::request::{ENVIRONMENT_LIMIT, LimitedBody, NameOrServer, Parameters, VALUE_LIMIT};
use super::command::AgentCommand;
use super::counters::{Counters, REFUSED_REQUESTS};
use super::events::Events;
use super::view::View;
use crate::adapters::clock::Clock;
use crate::domain::declarations::source::Variables;
use crate::domain::declarations::variable::Family;
use crate::wire::api::{EnvironmentAnswer, EnvironmentDifference, RegistryDocument};
use crate::wire::handoff::conceal;

pub mod access;
pub mod client_stream;
pub mod connection_limits;
pub mod credentials;
pub mod error;
mod hidden_paths;
pub mod metrics;
pub mod observe;
pub mod package_credential;
pub mod peer;
pub mod refresh;
pub mod request;
pub mod server;
pub mod status;

/// The description of this API in the format of openapis.org.
const OPENAPI: &str = include_str!("../../../docs/openapi.json");

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
    /// What is counted for `/metrics`.
    pub counters: Counters,
    /// Admits one request of other users at a time, so that the agent's user never waits for many.
    pub others_turn: Arc<Semaphore>,
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
    let logins = Router::new()
        .route("/v1/status", get(status::get_status))
        .route("/v1/registries/{asked}", get(get_registry))
        .route("/v1/events", get(observe::get_events))
        .route("/metrics", get(metrics::get_metrics))
        .route_layer(middleware::from_fn_with_state(state.clone(), hide_paths_from_others));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(observe::get_readiness))
        .route("/v1/openapi.json", get(get_openapi))
        .merge(logins)
        .merge(owners)
        .fallback(async |uri: Uri| ApiError::no_resource(&uri))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            ApiError::method_not_allowed(&method, &uri)
        })
        .layer(middleware::from_fn_with_state(state.clone(), owner_first))
        .with_state(state)
}

/// Lets other users' requests wait for each other. The handlers of what they may ask never wait, so
/// that at most one of them runs before a request of the agent's user.
async fn owner_first(
    State(state): State<ApiState>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let _turn = if state.rights.may_use_secrets(peer) {
        None
    } else {
        state.others_turn.acquire().await.ok()
    };
    next.run(request).await
}

async fn owner_only(
    State(state): State<ApiState>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if !state.rights.may_use_secrets(peer) {
        state.counters.count(&REFUSED_REQUESTS, "forbidden");
        return ApiError::foreign_user(peer).into_response();
    }
    // A request may have waited while this process was stopped. If its client has disconnected
    // since, hyper drops it here: nobody would receive the result.
    tokio::task::yield_now().await;
    next.run(request).await
}

async fn get_openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

/// Which registry is meant, if a `<NAME>` or a server has one of each family.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistryQuery {
    family: Option<Family>,
}

/// `GET /v1/registries/{asked}`
async fn get_registry(
    State(state): State<ApiState>,
    NameOrServer(name_or_server): NameOrServer,
    Parameters(query): Parameters<RegistryQuery>,
) -> Result<Json<RegistryDocument>, ApiError> {
    let view = state.now();
    match view.one_selected(&name_or_server, query.family) {
        Some(entry) => Ok(Json(entry.document(state.clock.now()))),
        None => Err(ApiError::unknown_registry()),
    }
}

async fn put_environment(
    State(state): State<ApiState>,
    LimitedBody(body): LimitedBody<ENVIRONMENT_LIMIT>,
) -> Result<Json<EnvironmentAnswer>, ApiError> {
    let variables = environment(&body)?;
    drop(body);
    Ok(Json(state.send_command(|answer| AgentCommand::Push(variables, answer)).await?))
}

/// `POST /v1/environment/difference`: what `PUT /v1/environment` would change.
async fn post_difference(
    State(state): State<ApiState>,
    LimitedBody(body): LimitedBody<ENVIRONMENT_LIMIT>,
) -> Result<Json<EnvironmentDifference>, ApiError> {
    let variables = environment(&body)?;
    drop(body);
    Ok(Json(state.send_command(|answer| AgentCommand::Compare(variables, answer)).await?))
}

fn environment(body: &[u8]) -> Result<Variables, ApiError> {
    let variables: Variables = serde_json::from_slice(body).map(conceal).map_err(|error| {
        // The message of serde could contain a value.
        ApiError::malformed(&format!(
            "the environment is not a flat JSON object of strings (line {} column {})",
            error.line(),
            error.column()
        ))
    })?;
    match variables.iter().find(|(_, value)| value.reveal().len() > VALUE_LIMIT) {
        Some((name, _)) => Err(ApiError::variable_too_large(name, VALUE_LIMIT)),
        None => Ok(variables),
    }
}

async fn post_shutdown(State(state): State<ApiState>) -> Json<serde_json::Value> {
    state.stop.cancel();
    Json(serde_json::json!({ "stopping": true }))
}
