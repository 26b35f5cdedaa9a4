//! `/v1/credential` and `/v1/logins`: what the credential helper asks for and brings.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Shared;
use super::parameters::Parameters;
use crate::agent::owner::Command;
use crate::agent::refusal::Refusal;
use crate::agent::view::Entry;
use crate::domain::login::State as Standing;
use crate::domain::server::Server;
use crate::edge::stored;
use crate::wire::helper::HelperCredential;

/// How long a client waits for a first login, or for a dead token to be renewed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server in any form.
#[derive(Deserialize)]
pub struct ServerQuery {
    server: String,
}

/// `GET /v1/credential?server=…`
pub async fn get_credential(
    State(mut shared): State<Shared>,
    Parameters(query): Parameters<ServerQuery>,
) -> Result<Json<HelperCredential>, Refusal> {
    let deadline = Instant::now() + PATIENCE;
    let mut nudged = false;
    loop {
        let view = shared.view.borrow_and_update().clone();
        let now = shared.clock.now();
        let Some(entry) = view.by_server(&query.server) else {
            return Err(Refusal::unknown_registry());
        };
        if entry.overdue(now) && !nudged {
            // A suspended machine wakes up with work to do.
            nudged = shared.commands.send(Command::Nudge).await.is_ok();
        }
        if let Some(credential) = entry.login.served(now) {
            return Ok(Json(HelperCredential::new(&query.server, credential)));
        }
        let coming = match entry.login.state(now) {
            Standing::Pending => true,
            Standing::Expired => entry.busy || entry.overdue(now),
            _ => false,
        };
        if !coming {
            return Err(withheld(entry, now));
        }
        match tokio::time::timeout_at(deadline, shared.view.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Refusal::ending()),
            Err(_) => return Err(withheld(entry, now)),
        }
    }
}

fn withheld(entry: &Entry, now: jiff::Timestamp) -> Refusal {
    let declaration = &entry.login.declaration;
    let name = if declaration.is_stored() { declaration.server.name() } else { &declaration.name };
    let state = entry.login.state(now);
    let reason = entry.login.reason_at(now).map(|reason| reason.to_string());
    Refusal::withheld(name, state, reason.as_deref())
}

/// What `POST` and `DELETE /v1/logins` did.
#[derive(Serialize)]
pub struct LoginAnswer {
    changed: bool,
}

/// `POST /v1/logins`: a login of the user's own, kept above the declared one.
pub async fn post_login(
    State(shared): State<Shared>,
    body: axum::body::Bytes,
) -> Result<Json<LoginAnswer>, Refusal> {
    let login: HelperCredential = serde_json::from_slice(&body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Refusal::malformed(&format!("not a login, line {line} column {column}"))
    })?;
    let (server, _) = Server::parse(&login.server_url)
        .map_err(|fault| Refusal::malformed(&format!("the server is not understood: {fault}")))?;
    if !server.answers_to(&login.server_url) || login.username.is_empty() {
        // Docker Hub's own client also stores tokens of other uses, under keys of their own.
        return Err(Refusal::malformed("this is no login of a registry"));
    }
    let view = shared.now();
    let same = view.by_server(&login.server_url).filter(|entry| {
        entry.login.credential.as_ref().is_some_and(|credential| {
            credential.user == login.username && credential.secret == login.secret.0
        })
    });
    // docker brings back after every login what it was given; that is no login of the user's own.
    if let Some(entry) = same {
        if entry.login.served(shared.clock.now()).is_none() {
            // Withheld, and yet docker has just seen it accepted: worth asking about again.
            let server = entry.login.declaration.server.name().to_owned();
            shared.order(|answer| Command::Refresh(Some(server), answer)).await?;
        }
        return Ok(Json(LoginAnswer { changed: false }));
    }
    let stored = stored::login(login.username, login.secret.0, None);
    shared
        .order(|answer| Command::Store(server.name().to_owned(), stored, answer))
        .await?
        .map_err(|error| Refusal::not_kept(&error))?;
    Ok(Json(LoginAnswer { changed: true }))
}

/// `DELETE /v1/logins?server=…`: forgets a login of the user's own.
pub async fn delete_login(
    State(shared): State<Shared>,
    Parameters(query): Parameters<ServerQuery>,
) -> Result<Json<LoginAnswer>, Refusal> {
    let server = match shared.now().by_server(&query.server) {
        Some(entry) if entry.login.is_stored() => entry.login.declaration.server.name().to_owned(),
        _ => return Ok(Json(LoginAnswer { changed: false })),
    };
    let erased = shared.order(|answer| Command::Erase(server, answer)).await?;
    let changed = erased.map_err(|error| Refusal::not_kept(&error))?;
    Ok(Json(LoginAnswer { changed }))
}
