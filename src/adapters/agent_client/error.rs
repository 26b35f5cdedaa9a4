//! Why a request to the agent failed.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::domain::reasons::AgentReason;
use crate::wire::api::ProblemDocument;

/// Why a request to the agent failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No agent responds on any socket.
    #[error("no agent is running")]
    NoAgent,
    /// The agent that responds belongs to another user.
    #[error("the agent at {} belongs to uid {uid}, not to the current user", socket.display())]
    NotOurs {
        /// The path of its socket.
        socket: PathBuf,
        /// The user ID that it runs as.
        uid: u32,
    },
    /// Nothing tells this user's agent from that of another user.
    #[error("{0}; {fix}", fix = .0.fix())]
    SharedUid(Box<AgentReason>),
    /// The agent refused the request.
    #[error("{}", problem_text(.0))]
    Refused(Box<ProblemDocument>),
    /// The agent did not respond within the time limit.
    #[error("the agent did not respond in time")]
    TimedOut,
    /// The response is not one of an agent of this version.
    #[error("the agent's response is not understood ({0})")]
    Garbled(String),
    /// The connection failed.
    #[error("the connection to the agent failed: {0}")]
    Broken(#[from] io::Error),
}

impl ClientError {
    /// The content of a response has another form than expected.
    pub fn unexpected_json() -> Self {
        Self::Garbled("not the expected JSON".to_owned())
    }

    /// An error of a stream whose deadline has passed counts as that.
    pub(super) fn of_stream(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Broken(error),
        }
    }
}

fn problem_text(problem: &ProblemDocument) -> String {
    let mut text = problem.detail.clone().unwrap_or_else(|| problem.title.clone());
    if let Some(hint) = &problem.hint {
        text.push_str("; ");
        text.push_str(hint);
    }
    text
}
