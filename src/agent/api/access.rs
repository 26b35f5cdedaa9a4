//! `/v1/access`: what a login may do with an image.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::ApiState;
use super::credentials::withheld;
use super::error::ApiError;
use super::request::Parameters;
use crate::agent::command::AgentCommand;
use crate::agent::workers::AccessQuestion;
use crate::domain::reasons::Reason;
use crate::domain::registry_protocol::image_access::{AccessRight, PullQuota};
use crate::domain::servers::image::Image;
use crate::wire::api::{AccessDocument, QuotaEntry, RightEntry};

/// An image in any form that docker takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessQuery {
    image: String,
}

/// `GET /v1/access?image=…`
pub async fn get_access(
    State(state): State<ApiState>,
    Parameters(query): Parameters<AccessQuery>,
) -> Result<Json<AccessDocument>, ApiError> {
    let mut image = Image::parse(&query.image).map_err(|fault| {
        ApiError::malformed(&format!("the image's name is not understood: {fault}"))
    })?;
    let question = {
        let (view, now) = (state.now(), state.clock.now());
        let entry = view.by_server(image.server.name()).ok_or_else(ApiError::unknown_registry)?;
        let declaration = &entry.login.declaration;
        // The declared transport applies.
        if let Some(server) = declaration.server.container() {
            image.server = server.clone();
        }
        let served = entry.login.served(now).cloned();
        AccessQuestion {
            image,
            credential: served.ok_or_else(|| withheld(entry, now))?,
            ca_file: declaration.ca_file.clone(),
        }
    };
    let Image { server, repository, reference } = question.image.clone();
    let command = |answer| AgentCommand::ImageAccess(Box::new(question), answer);
    let access = state.send_command(command).await?;
    Ok(Json(AccessDocument {
        server: server.name().to_owned(),
        repository,
        reference,
        pull: right(access.pull),
        push: right(access.push),
        quota: access.quota.map(quota),
    }))
}

fn right(right: AccessRight) -> RightEntry {
    let (granted, reason) = match right {
        AccessRight::Yes => (Some(true), None),
        AccessRight::No(reason) => (Some(false), Some(reason)),
        AccessRight::Unknown(reason) => (None, Some(reason)),
    };
    RightEntry {
        granted,
        code: reason.as_ref().map(|reason| reason.code().to_owned()),
        hint: reason.as_ref().map(Reason::fix),
        reason: reason.map(|reason| reason.to_string()),
    }
}

fn quota(PullQuota { limit, remaining, period }: PullQuota) -> QuotaEntry {
    QuotaEntry { limit, remaining, period_seconds: period.map(|period| period.as_secs()) }
}
