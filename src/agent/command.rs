//! What the API asks of the controller.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::stored_login_writer::ChangeAnswer;
use super::workers::AccessQuestion;
use crate::adapters::stored_logins::StoredLogin;
use crate::domain::declarations::source::Variables;
use crate::domain::registry_protocol::image_access::ImageAccess;
use crate::wire::api::{EnvironmentAnswer, EnvironmentDifference};

/// A request from the API to the controller.
pub enum AgentCommand {
    /// `PUT /v1/environment`; answered once the result is published.
    Push(Variables, oneshot::Sender<EnvironmentAnswer>),
    /// `POST /v1/environment/difference`; answered at once.
    Compare(Variables, oneshot::Sender<EnvironmentDifference>),
    /// `GET /v1/access`; answered by the registry.
    ImageAccess(Box<AccessQuestion>, oneshot::Sender<ImageAccess>),
    /// `POST /v1/refresh`; answered once the requests are running and everything is published.
    Refresh(RefreshRequest, oneshot::Sender<()>),
    /// `POST /v1/logins`; answered once the login is stored.
    Store(String, StoredLogin, ChangeAnswer),
    /// `DELETE /v1/logins`; answered with whether a login existed.
    Erase(String, ChangeAnswer),
    /// A client waits for the credential of this server, and the agent can act on it.
    RunOnDemand(String),
}

/// The logins to renew and verify.
pub struct RefreshRequest {
    /// The canonical servers; all if `None`.
    pub servers: Option<BTreeSet<String>>,
    /// Whether to leave alone what was refused or told to come back later.
    pub except_refused: bool,
}

impl RefreshRequest {
    /// The login of one server, in any state.
    pub fn of(server: String) -> Self {
        Self { servers: Some(BTreeSet::from([server])), except_refused: false }
    }
}
