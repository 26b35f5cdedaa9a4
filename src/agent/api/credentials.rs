//! `/v1/credential` and `/v1/logins`: the requests of the credential helper.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::error::ApiError;
use super::request::{LOGIN_LIMIT, LimitedBody, Parameters};
use super::{ApiState, package_credential};
use crate::adapters::stored_logins::StoredLogin;
use crate::agent::command::{AgentCommand, RefreshRequest};
use crate::agent::counters::CREDENTIALS_SERVED;
use crate::agent::stored_login_writer::ChangeAnswer;
use crate::agent::view::{Entry, View};
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::login::State as LoginState;
use crate::domain::credentials::replaced;
use crate::domain::reasons::problem::Problem;
use crate::domain::servers::server::{self, Server};
use crate::wire::api::{INCOMPLETE, UNKNOWN_REGISTRY, WITHHELD};
use crate::wire::helper::HelperCredential;
use crate::wire::package_credential::PackageCredential;

/// The longest that a client waits for a first login or for the renewal of an expired token.
const CREDENTIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client waits until a stored login is safely on disk.
const STORE_TIMEOUT: Duration = Duration::from_secs(8);

/// A server in any form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerQuery {
    server: String,
}

/// A server of container images in any form, or a URL of a package registry or of something in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialQuery {
    server: Option<String>,
    url: Option<String>,
    /// The scheme that the package client usually sends.
    scheme: Option<AuthScheme>,
    /// How many seconds the client can wait.
    wait: Option<u64>,
}

/// The response for a server or for a URL.
#[derive(Serialize)]
#[serde(untagged)]
pub enum CredentialAnswer {
    /// The login of a container registry.
    Container(HelperCredential),
    /// The login of a package registry.
    Package(PackageCredential),
}

/// `GET /v1/credential?server=…` and `GET /v1/credential?url=…`
pub async fn get_credential(
    State(state): State<ApiState>,
    Parameters(query): Parameters<CredentialQuery>,
) -> Result<Json<CredentialAnswer>, ApiError> {
    let counters = state.counters.clone();
    let wait = query.wait.map_or(CREDENTIAL_TIMEOUT, Duration::from_secs).min(CREDENTIAL_TIMEOUT);
    let found = match (query.server, query.url) {
        (Some(server), None) => {
            find_credential(state, &server, wait).await.map(CredentialAnswer::Container)
        }
        (None, Some(url)) => {
            let found = package_credential::find(state, &url, query.scheme, wait).await;
            found.map(CredentialAnswer::Package)
        }
        _ => return Err(ApiError::malformed("either `server` or `url` is required")),
    };
    let result = match &found {
        Ok(_) => Some("served"),
        Err(error) if error.is(UNKNOWN_REGISTRY) || error.is(INCOMPLETE) => Some("unknown"),
        Err(error) if error.is(WITHHELD) => Some("withheld"),
        Err(_) => None,
    };
    if let Some(result) = result {
        counters.count(&CREDENTIALS_SERVED, result);
    }
    found.map(Json)
}

async fn find_credential(
    state: ApiState,
    server: &str,
    wait: Duration,
) -> Result<HelperCredential, ApiError> {
    if let Some(token) = state.now().web_login_token(server) {
        return Ok(HelperCredential::new(server, token));
    }
    let login =
        await_login(state, wait, |view| view.by_server(server), |view| view.unusable_set(server));
    let (_, credential) = login.await?;
    Ok(HelperCredential::new(server, &credential))
}

/// The login that `find` finds and its credential, once it can be served. `unusable` finds the problem
/// of a set that would declare the login.
pub(super) async fn await_login(
    mut state: ApiState,
    wait: Duration,
    find: impl Fn(&View) -> Option<&Arc<Entry>>,
    unusable: impl Fn(&View) -> Option<&Problem>,
) -> Result<(Arc<Entry>, Credential), ApiError> {
    let deadline = Instant::now() + wait;
    let mut woken = false;
    loop {
        // Only the login is kept: whoever holds a view makes the controller copy it.
        let entry = find(&state.view.borrow_and_update()).cloned();
        let now = state.clock.now();
        let Some(entry) = entry else {
            return Err(match unusable(&state.now()) {
                Some(problem) => ApiError::unusable_set(problem),
                None => ApiError::unknown_registry(),
            });
        };
        let acts = entry.acts_on_demand(now);
        if acts && !woken {
            // A machine that resumes from suspend has overdue work, and an expired token is worth
            // another try.
            let server = entry.login.declaration.server.name().to_owned();
            woken = state.commands.send(AgentCommand::RunOnDemand(server)).await.is_ok();
        }
        if let Some(credential) = entry.login.served(now) {
            let credential = credential.clone();
            return Ok((entry, credential));
        }
        let may_arrive = match entry.login.state(now) {
            LoginState::Pending => true,
            LoginState::Rejected | LoginState::Invalid => false,
            _ => entry.busy || acts,
        };
        if !may_arrive {
            return Err(withheld(&entry, now));
        }
        match tokio::time::timeout_at(deadline, state.view.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(ApiError::stopping()),
            Err(_) => return Err(withheld(&entry, now)),
        }
    }
}

/// The login exists, but its credential is not served.
pub(super) fn withheld(entry: &Entry, now: jiff::Timestamp) -> ApiError {
    let declaration = &entry.login.declaration;
    let name = declaration.called().unwrap_or(declaration.server.name());
    let state = entry.login.state(now);
    let reason = entry.login.reason_at(now).map(|reason| reason.to_string());
    ApiError::withheld(name, state, reason.as_deref())
}

/// The result of `POST` and `DELETE /v1/logins`.
#[derive(Serialize)]
pub struct LoginAnswer {
    changed: bool,
}

/// `POST /v1/logins`: stores a login of the user, which takes precedence over a declared one.
pub async fn post_login(
    State(state): State<ApiState>,
    LimitedBody(body): LimitedBody<LOGIN_LIMIT>,
) -> Result<Json<LoginAnswer>, ApiError> {
    let login: HelperCredential = serde_json::from_slice(&body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ApiError::malformed(&format!("not a login, line {line} column {column}"))
    })?;
    if login.username.is_empty() {
        return Err(ApiError::malformed("the login has no user name"));
    }
    if let Some(token) = server::web_login_token(&login.server_url) {
        let stored = StoredLogin::new(login.server_url, login.username, login.secret.0);
        let store = |answer| AgentCommand::Store(token.to_owned(), stored, answer);
        let changed = change_stored(&state, store).await?;
        return Ok(Json(LoginAnswer { changed }));
    }
    let (server, _) = Server::parse(&login.server_url)
        .map_err(|fault| ApiError::malformed(&format!("the server is not understood: {fault}")))?;
    if !server.answers_to(&login.server_url) {
        return Err(ApiError::malformed("this is no login of a registry"));
    }
    if login.secret.0.is_empty() {
        return Err(ApiError::malformed("the secret is missing or empty"));
    }
    let (view, now) = (state.now(), state.clock.now());
    let known = view.by_server(&login.server_url);
    let old = known.filter(|entry| !entry.login.is_stored()).is_some_and(|entry| {
        replaced::contains(&entry.replaced, &login.username, login.secret.0.reveal(), now)
    });
    let same = known.filter(|entry| {
        entry.login.credential.as_ref().is_some_and(|credential| {
            credential.user == login.username && credential.secret == login.secret.0
        })
    });
    // After each login docker stores the credential that it was given. That is not a login of the
    // user.
    if let Some(entry) = same {
        if entry.login.served(now).is_none() {
            // The credential is withheld, but docker has just seen the registry accept it: verify
            // it again.
            let server = entry.login.declaration.server.name().to_owned();
            state
                .send_command(|answer| AgentCommand::Refresh(RefreshRequest::of(server), answer))
                .await?;
        }
        return Ok(Json(LoginAnswer { changed: false }));
    }
    if old {
        return Ok(Json(LoginAnswer { changed: false }));
    }
    let stored = StoredLogin::new(login.server_url, login.username, login.secret.0);
    change_stored(&state, |answer| AgentCommand::Store(server.name().to_owned(), stored, answer))
        .await?;
    Ok(Json(LoginAnswer { changed: true }))
}

/// `DELETE /v1/logins?server=…`: removes a login of the user.
pub async fn delete_login(
    State(state): State<ApiState>,
    Parameters(query): Parameters<ServerQuery>,
) -> Result<Json<LoginAnswer>, ApiError> {
    let Some(server) = stored_server(&state.now(), &query.server) else {
        return Ok(Json(LoginAnswer { changed: false }));
    };
    let changed = change_stored(&state, |answer| AgentCommand::Erase(server, answer)).await?;
    Ok(Json(LoginAnswer { changed }))
}

/// The canonical server of what was stored for `asked`.
fn stored_server(view: &View, asked: &str) -> Option<String> {
    if view.web_login_token(asked).is_some() {
        return server::web_login_token(asked).map(str::to_owned);
    }
    let login = &view.by_server(asked)?.login;
    login.is_stored().then(|| login.declaration.server.name().to_owned())
}

/// Returns whether a stored login changed. A change that is not safely on disk within the time
/// limit is reported as failed and does not take effect later.
async fn change_stored(
    state: &ApiState,
    command: impl FnOnce(ChangeAnswer) -> AgentCommand,
) -> Result<bool, ApiError> {
    tokio::time::timeout(STORE_TIMEOUT, state.send_command(command))
        .await
        .unwrap_or_else(|_| Ok(Err(io::Error::other("its file system does not respond"))))?
        .map_err(|error| ApiError::not_stored(&error))
}
