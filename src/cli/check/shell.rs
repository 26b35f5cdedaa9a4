//! Variables of this shell that differ from what the agent knows.

use std::collections::BTreeMap;

use crate::adapters::agent_client;
use crate::adapters::paths::Paths;
use crate::cli::launch::matching_environment;
use crate::cli::output::REQUEST_TIMEOUT;
use crate::domain::credentials::secret_json::to_json;
use crate::domain::declarations::variable;
use crate::domain::reasons::{AgentReason, Reason};
use crate::wire::api::EnvironmentDifference;
use crate::wire::handoff::reveal;

use super::report::Finding;

/// The differences, by the `<NAME>` of their set; without one, of variables that concern all logins.
pub(super) struct ShellDifferences(BTreeMap<Option<String>, Vec<String>>);

impl ShellDifferences {
    /// Asks the agent what `sync` would change. An agent that cannot be asked counts as equal.
    pub(super) fn ask(paths: &Paths) -> Self {
        let body = to_json(&reveal(&matching_environment()));
        let target = "/v1/environment/difference";
        let ask =
            |body: &[u8]| agent_client::ask(paths, "POST", target, body, REQUEST_TIMEOUT).ok();
        let answer = body.ok().and_then(|body| ask(&body));
        let difference = answer.and_then(|body| serde_json::from_slice(&body).ok());
        let EnvironmentDifference { variables } = difference.unwrap_or_default();
        let mut by_set: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
        for name in variables {
            let set = variable::parse(&name).map(|parsed| parsed.name.to_owned());
            by_set.entry(set).or_default().push(name);
        }
        Self(by_set)
    }

    /// The remark on a set, or on what concerns all logins.
    pub(super) fn of(&self, set: Option<&str>) -> Option<Finding> {
        let variables = self.0.get(&set.map(str::to_owned))?.join(", ");
        Some(Reason::from(AgentReason::ShellDiffers { variables }).into())
    }
}
