//! The one line on standard error that says why a credential is withheld, or why the agent did not
//! provide it.

use std::io::Write;
use std::path::Path;

use nix::unistd::Pid;

use super::agent::{NoAnswer, NotStarted};
use super::fallback::Fallback;
use crate::adapters::agent_client::ClientError;
use crate::adapters::lock;
use crate::adapters::paths::Paths;
use crate::domain::printable::is_printable;
use crate::domain::reasons::AgentReason;
use crate::wire::api::ProblemDocument;

/// The fix where an agent lacks what a shell has.
const SYNC: &str = "run `registry-agent sync` in a shell that has the variables";

/// What happened, and what to do about it.
pub(super) struct Notice {
    pub(super) why: String,
    fix: String,
}

impl Notice {
    pub(super) fn new(why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { why: why.into(), fix: fix.into() }
    }

    /// The agent's own explanation.
    pub(super) fn of_problem(problem: &ProblemDocument) -> Self {
        let why = problem.detail.as_ref().unwrap_or(&problem.title);
        let hint = problem.hint.as_deref();
        Self::new(why, hint.unwrap_or("run `registry-agent check`"))
    }

    /// Why a request failed.
    pub(super) fn of_failure(none: &NoAnswer) -> Self {
        let error = &none.error;
        match (&none.not_started, error) {
            (_, ClientError::Refused(problem)) => Self::of_problem(problem),
            (_, ClientError::SharedUid(reason)) => Self::new(reason.to_string(), reason.fix()),
            (Some(NotStarted::Stopped), _) => Self::new("the agent is stopped", SYNC),
            (Some(NotStarted::Sudo { user }), _) => Self::new(
                "`sudo` uses root's docker configuration and root's agent, and root has no agent",
                format!(
                    "run docker as {user} without `sudo`, or set `user = \"{user}\"` in \
                     /etc/registry-agent/config.toml"
                ),
            ),
            // An agent of this user's own would need another socket.
            (Some(NotStarted::Failed(_)), ClientError::NotOurs { .. })
                if Paths::of_this_process().has_own_socket() =>
            {
                let fix = "run `unset REGISTRY_AGENT_SOCKET; registry-agent sync` in a shell that has the variables";
                Self::new(error.to_string(), fix)
            }
            (Some(NotStarted::Unconfigured(reason)), _) => {
                Self::new(reason.to_string(), reason.fix())
            }
            (Some(NotStarted::Failed(why)), ClientError::NotOurs { .. }) => {
                Self::new(format!("{error}, whose own agent cannot be started: {why}"), SYNC)
            }
            (Some(NotStarted::Failed(why)), _) => {
                Self::new(format!("the agent cannot be started: {why}"), SYNC)
            }
            (None, ClientError::NoAgent | ClientError::NotOurs { .. }) => {
                Self::new(error.to_string(), SYNC)
            }
            (None, _) => {
                let paths = Paths::of_this_process();
                let agent = lock::agent(&paths).map(Pid::as_raw);
                let stopped_supervisor = lock::stopped_supervisor(&paths).map(Pid::as_raw);
                let fault = error.to_string();
                let silent = AgentReason::Silent { fault, agent, stopped_supervisor };
                Self::new(error.to_string(), silent.fix())
            }
        }
    }

    /// Why the docker configuration has to serve. Clients also ask for registries that nobody
    /// declared: for those, `None` unless something is broken.
    pub(super) fn of_fallback(none: &NoAnswer, fallback: &Fallback, server: &str) -> Option<Self> {
        if !none.is_unknown() && (fallback.is_published || !none.is_expected()) {
            return Some(Self::of_failure(none));
        }
        if let Some(fault) = &fallback.fault {
            let why = fault.to_string();
            return Some(Self::new(why.trim_end_matches("; left unchanged"), fault.fix()));
        }
        Self::of_unknown_registry(none, server)
    }

    /// If this process started the agent, one that ran before may have known the login.
    pub(super) fn of_unknown_registry(none: &NoAnswer, registry: &str) -> Option<Self> {
        let started =
            format!("no agent was running; one was started, but it does not know {registry}");
        (none.is_unknown() && none.has_started).then(|| Self::new(started, SYNC))
    }

    /// Prints the line; `used` is the docker configuration whose login is used instead.
    pub(super) fn print(&self, stderr: &mut impl Write, used: Option<&Path>) {
        // An error here must not change the result.
        let _ = writeln!(stderr, "{}", self.line(used));
    }

    /// The line without its end.
    pub(super) fn line(&self, used: Option<&Path>) -> String {
        let Self { why, fix } = self;
        let instead = used.map_or_else(String::new, |path| {
            format!(", so the login in {} is used", path.display())
        });
        format!("registry-agent: {why}{instead}; {fix}").replace(|c| !is_printable(c), " ")
    }
}
