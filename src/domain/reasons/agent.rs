//! Why the agent does not serve a user, or a remark on it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Severity, Step, shell_word};

/// Why the agent does not serve the user who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum AgentReason {
    /// No agent was ever started.
    #[error("no agent is running for {user}")]
    NotStarted {
        /// The user who asks.
        user: String,
        /// The command that starts it.
        start: String,
    },
    /// None was started, and none can start.
    #[error("no agent is running, and none can start: {fault}")]
    Unconfigured {
        /// The path of the configuration file.
        path: String,
        /// What is wrong, with the file and the line.
        fault: String,
    },
    /// A user stopped it.
    #[error("no agent is running for {user}: it was stopped with `registry-agent stop`")]
    Stopped {
        /// The user who asks.
        user: String,
        /// The command that starts it.
        start: String,
    },
    /// It ended although nobody stopped it.
    #[error("no agent is running for {user}: the last one ended, and {last}")]
    Ended {
        /// The user who asks.
        user: String,
        /// The path of its log, and the last line there if it tells of a fault.
        last: String,
        /// The command that starts it.
        start: String,
    },
    /// The command runs under `sudo`, and only the calling user has an agent.
    #[error(
        "the agent belongs to {user}, but this command runs as root, and so does `sudo docker`, which reads {config}"
    )]
    Sudo {
        /// The user who called `sudo`.
        user: String,
        /// The docker configuration of root.
        config: String,
    },
    /// The agent that answers belongs to another user.
    #[error("the agent on {socket} belongs to {owner}; no agent runs for {user}")]
    Foreign {
        /// The path of its socket.
        socket: String,
        /// The user it belongs to.
        owner: String,
        /// The user who asks.
        user: String,
    },
    /// No directory for the lock and the socket can be used.
    #[error("no agent can run for {user}: no directory can be used for its lock: {fault}")]
    NoDirectory {
        /// The user who asks.
        user: String,
        /// The directories, and the errors of the operating system.
        fault: String,
        /// The directory to create, if that is all that is missing.
        missing: Option<String>,
    },
    /// The user cannot be told apart from those that the user namespace does not map.
    #[error(
        "no agent serves uid {uid}: this user namespace shows every user that it does not map as uid {uid}"
    )]
    SharedUid {
        /// The user ID.
        uid: u32,
    },
    /// It is there, but does not answer.
    #[error("the agent does not answer: {fault}")]
    Silent {
        /// What happened to the request.
        fault: String,
        /// The ID of its process, if it has a supervisor that starts another one.
        agent: Option<i32>,
        /// The ID of the supervisor, if a signal has stopped that as well.
        stopped_supervisor: Option<i32>,
    },
    /// A remark: agent and command are of different versions.
    #[error("the agent is version {agent}, but this program is version {program}")]
    OtherVersion {
        /// The version of the agent.
        agent: String,
        /// The version of this program.
        program: String,
    },
    /// A remark: variables of this shell differ from what the agent knows.
    #[error("{variables} in this shell {verb} from what the agent knows", verb = if .variables.contains(' ') { "differ" } else { "differs" })]
    ShellDiffers {
        /// The names of the variables.
        variables: String,
    },
}

impl AgentReason {
    /// A stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotStarted { .. } => "agent-not-started",
            Self::Unconfigured { .. } => "agent-not-configured",
            Self::Stopped { .. } => "agent-stopped",
            Self::Ended { .. } => "agent-ended",
            Self::Sudo { .. } => "agent-under-sudo",
            Self::Foreign { .. } => "agent-of-another-user",
            Self::NoDirectory { .. } => "agent-without-directory",
            Self::SharedUid { .. } => "agent-uid-shared",
            Self::Silent { .. } => "agent-silent",
            Self::OtherVersion { .. } => "agent-of-another-version",
            Self::ShellDiffers { .. } => "shell-differs",
        }
    }

    /// The step of `check` that it belongs to.
    pub fn step(&self) -> Step {
        match self {
            Self::ShellDiffers { .. } => Step::Declared,
            _ => Step::Agent,
        }
    }

    /// Whether it keeps clients from a login.
    pub fn severity(&self) -> Severity {
        match self {
            Self::OtherVersion { .. } | Self::ShellDiffers { .. } => Severity::Remark,
            _ => Severity::Error,
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::NotStarted { start, .. }
            | Self::Stopped { start, .. }
            | Self::Ended { start, .. } => {
                if start.ends_with("sync") {
                    format!("run `{start}` in a shell that has the variables")
                } else {
                    format!("run `{start}`")
                }
            }
            Self::Unconfigured { path, .. } => format!(
                "correct {path}, then run `registry-agent sync` in a shell that has the variables"
            ),
            Self::Sudo { .. } => {
                "run docker and `registry-agent check` without sudo; if docker must run as root, run `sudo -E -H registry-agent sync` in a shell that has the variables, which gives root an agent of its own".to_owned()
            }
            Self::Foreign { user, .. } => format!(
                "run `unset REGISTRY_AGENT_SOCKET; registry-agent sync` in a shell of {user} that has the variables, which starts an agent for {user}"
            ),
            Self::NoDirectory { missing: Some(dir), .. } => format!(
                "run `mkdir -p {} && registry-agent sync` in a shell that has the variables",
                shell_word(dir)
            ),
            Self::NoDirectory { missing: None, .. } => {
                "run `mkdir -p -m 700 \"$HOME/.cache/registry-agent\" && export REGISTRY_AGENT_SOCKET=\"$HOME/.cache/registry-agent/agent.sock\" && registry-agent sync` in a shell that has the variables, and set REGISTRY_AGENT_SOCKET where docker runs too".to_owned()
            }
            Self::SharedUid { .. } => {
                "run docker and `registry-agent` as another user of this namespace, or outside it"
                    .to_owned()
            }
            Self::Silent { agent: Some(pid), stopped_supervisor, .. } => {
                let resume =
                    stopped_supervisor.map_or_else(String::new, |pid| format!("kill -CONT {pid}; "));
                format!(
                    "run `{resume}kill -9 {pid}`; its supervisor starts another agent at once, with the same logins"
                )
            }
            Self::Silent { agent: None, .. } => {
                "run `registry-agent stop`, which loses what shells have sent, and then `registry-agent sync` in a shell that has all variables".to_owned()
            }
            Self::OtherVersion { .. } => "run `registry-agent start`".to_owned(),
            Self::ShellDiffers { .. } => {
                "run `registry-agent sync` in this shell".to_owned()
            }
        }
    }
}
