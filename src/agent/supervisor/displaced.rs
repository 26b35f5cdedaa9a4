//! Passes on what was pushed to a supervisor whose lock was removed before a service started.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::handoff;
use crate::adapters::paths::Paths;
use crate::domain::credentials::secret_json::to_json;
use crate::domain::declarations::source::SourceKind;
use crate::wire::api::StatusDocument;
use crate::wire::handoff::SavedState;

/// How long each of the two requests may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Pushes what was pushed here to the service that holds the lock, unless that was pushed to later.
pub(super) fn pass_on(paths: &Paths, memfd: BorrowedFd<'_>) -> Result<(), ClientError> {
    let content = handoff::read(memfd)?;
    let state = SavedState::read(&content).unwrap_or_else(|error| {
        warn!("{error}");
        SavedState::default()
    });
    let SavedState { pushed: Some(pushed), pushed_at, .. } = state else { return Ok(()) };
    if last_push(paths)? >= pushed_at {
        return Ok(());
    }
    let body = to_json(&pushed).map_err(io::Error::from)?;
    agent_client::ask(paths, "PUT", "/v1/environment", &body, REQUEST_TIMEOUT)?;
    Ok(())
}

/// When the agent that serves received its last push.
fn last_push(paths: &Paths) -> Result<Option<Timestamp>, ClientError> {
    let status = agent_client::ask(paths, "GET", "/v1/status", b"", REQUEST_TIMEOUT)?;
    let status: StatusDocument =
        serde_json::from_slice(&status).map_err(|error| ClientError::Garbled(error.to_string()))?;
    let pushed = status.sources.iter().find(|it| it.kind == SourceKind::Pushed.as_str());
    Ok(pushed.and_then(|source| source.updated_at))
}
