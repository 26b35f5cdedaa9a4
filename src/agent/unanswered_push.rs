//! An environment that `sync` pushed, until its result is published and the requester gets its answer.

use tokio::sync::oneshot;

use super::login_store::LoginStore;
use super::source_set::SourceSet;
use super::view;
use crate::domain::declarations::changes::{self, Declared, Difference};
use crate::domain::declarations::source::Variables;
use crate::domain::reasons::problem::Problem;
use crate::wire::api::EnvironmentAnswer;

/// What the answer needs of the time before the push, and which of its sets are incomplete.
pub struct UnansweredPush {
    declared: Declared,
    /// The variables of AWS, proxies, TLS and docker.
    variables: Variables,
    incomplete: Vec<Problem>,
    requester: oneshot::Sender<EnvironmentAnswer>,
}

/// An answer, what it says in short, and who waits for it.
pub struct PushAnswer {
    pub(super) summary: String,
    pub(super) answer: EnvironmentAnswer,
    pub(super) requester: oneshot::Sender<EnvironmentAnswer>,
}

impl UnansweredPush {
    /// Notes the declarations and the merged environment as they are before the push.
    pub fn before(
        logins: &LoginStore,
        sources: &SourceSet,
        requester: oneshot::Sender<EnvironmentAnswer>,
    ) -> Self {
        let variables = sources.merged_environment().clone();
        Self { declared: logins.declared(), variables, incomplete: Vec::new(), requester }
    }

    /// The same, with what the incomplete sets of the push lack.
    #[must_use]
    pub fn with_incomplete(self, incomplete: Vec<Problem>) -> Self {
        Self { incomplete, ..self }
    }

    /// What changed since.
    pub fn answer(self, logins: &LoginStore, sources: &SourceSet) -> PushAnswer {
        let mut difference = logins.difference_to(&self.declared);
        // Before the first login, no variable has had an effect yet.
        if !self.declared.is_empty() {
            let environment = sources.merged_environment();
            difference.variables = changes::of_variables(&self.variables, environment);
        }
        let summary = difference.summary();
        let Difference { added, changed, removed, variables } = difference;
        let incomplete = self.incomplete.iter().map(view::problem_entry).collect();
        let answer = EnvironmentAnswer { added, changed, removed, variables, incomplete };
        PushAnswer { summary, answer, requester: self.requester }
    }
}
