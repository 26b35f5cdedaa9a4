//! The docker configuration, which docker itself would use without a helper.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::Text;
use super::agent::Agent;
use crate::adapters::docker_config;
use crate::domain::credentials::credential::Credential;
use crate::domain::docker_config::{check, names_our_helper, plain_auth};
use crate::domain::reasons::PublishReason;
use crate::domain::servers::server::{self, Server};

/// What the docker configuration says about one server.
pub(super) struct Fallback {
    /// The path of the file.
    pub(super) path: PathBuf,
    /// The plain login.
    pub(super) login: Option<Credential>,
    /// Whether an agent published the server there: somebody declared it.
    pub(super) is_published: bool,
    /// Why the file cannot be used.
    pub(super) fault: Option<PublishReason>,
}

impl Fallback {
    /// Reads the file, by the deadline of `agent`.
    pub(super) fn read(agent: &Agent, asked: &str) -> Self {
        let dir = env::var("DOCKER_CONFIG").ok();
        let path = agent.paths.docker_config_file(dir.as_deref());
        let mut found = Self { path, login: None, is_published: false, fault: None };
        let Ok((server, _)) = Server::parse(asked) else { return found };
        let text = match read_by(agent.deadline, &found.path) {
            Ok(text) => text.unwrap_or_default(),
            Err(fault) => {
                found.fault = Some(fault);
                return found;
            }
        };
        found.fault = check(&found.path.display().to_string(), &text).err();
        found.is_published = names_our_helper(&text, &server);
        // The password of Docker Hub is not a token of docker's web login.
        let is_login = server::web_login_token(asked).is_none();
        found.login = plain_auth(&text, &server).filter(|_| is_login);
        found
    }
}

/// Reads the file on a thread of its own, because its file system may hang.
fn read_by(deadline: Instant, path: &Path) -> Result<Option<Text>, PublishReason> {
    let (sender, content) = mpsc::channel();
    let path = path.to_owned();
    let shown = path.display().to_string();
    thread::spawn(move || sender.send(docker_config::read(&path)));
    let left = deadline.saturating_duration_since(Instant::now());
    content.recv_timeout(left).unwrap_or(Err(PublishReason::Hanging { path: shown }))
}
