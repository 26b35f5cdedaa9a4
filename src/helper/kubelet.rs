//! The kubelet's credential provider plug-in, which a Kubernetes node runs for the images it pulls.
//!
//! The kubelet shows standard error in its log only if the plug-in fails; then it pulls without a
//! credential. So a login that is withheld is a failure, and a registry that nobody declared is not.

use std::io::{Read, Write};
use std::process::ExitCode;

use super::agent::Agent;
use super::notice::Notice;
use super::{credential_target, finish, json_text, parse_credential, read};
use crate::adapters::agent_client::ClientError;
use crate::adapters::clock::Clock;
use crate::domain::credentials::credential::IDENTITY_TOKEN_USER;
use crate::domain::servers::image::{self, Image};
use crate::wire::api::UNKNOWN_REGISTRY;
use crate::wire::helper::HelperCredential;
use crate::wire::kubelet::{
    API_VERSION, AuthConfig, CredentialProviderRequest, CredentialProviderResponse,
};

/// The name of the plug-in.
pub(super) const PROGRAM: &str = "registry-agent-credential-provider";

/// One call of the kubelet.
pub(super) struct KubeletPlugin {
    pub(super) agent: Agent,
}

impl KubeletPlugin {
    pub(super) fn run(
        &self,
        argument: Option<&str>,
        input: &mut impl Read,
        output: &mut impl Write,
        stderr: &mut impl Write,
    ) -> ExitCode {
        match argument {
            None => {}
            Some("--version" | "version") => {
                let version = format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION"));
                return finish(output, &version, ExitCode::SUCCESS);
            }
            Some(_) => {
                let usage = format!("usage: {PROGRAM} < CredentialProviderRequest");
                return finish(stderr, &usage, ExitCode::from(2));
            }
        }
        match read(input).map_err(unreadable).and_then(|request| self.answer(&request)) {
            Ok(response) => {
                let text = json_text(&response);
                finish(output, &text, ExitCode::SUCCESS)
            }
            Err(notice) => {
                notice.print(stderr, None);
                ExitCode::FAILURE
            }
        }
    }

    fn answer(&self, request: &str) -> Result<CredentialProviderResponse, Notice> {
        let registry = registry_in(request)?;
        let target = credential_target(&registry);
        // An agent of a node is a service. One that the plug-in starts would be a child of the kubelet,
        // with the kubelet's environment.
        match self.agent.ask_running("GET", &target, b"", parse_credential) {
            Ok(credential) => found(&registry, credential),
            Err(ClientError::Refused(problem))
                if problem.code.as_deref() == Some(UNKNOWN_REGISTRY) =>
            {
                Ok(CredentialProviderResponse::none())
            }
            Err(error) => Err(notice_of(&error)),
        }
    }
}

fn notice_of(error: &ClientError) -> Notice {
    let (why, fix) = match error {
        ClientError::Refused(problem) => return Notice::of_problem(problem),
        ClientError::SharedUid(reason) => {
            return Notice::new(reason.to_string(), reason.fix());
        }
        ClientError::NoAgent => (
            "no agent is running on this node".to_owned(),
            "run `systemctl start registry-agent`, or deploy the DaemonSet",
        ),
        ClientError::NotOurs { .. } => {
            (error.to_string(), "set `user` in /etc/registry-agent/config.toml to the agent's user")
        }
        _ => (
            error.to_string(),
            "run `systemctl restart registry-agent`, or delete the DaemonSet's pod on this node",
        ),
    };
    Notice::new(why, fix)
}

fn found(
    registry: &str,
    credential: HelperCredential,
) -> Result<CredentialProviderResponse, Notice> {
    if credential.username == IDENTITY_TOKEN_USER {
        return Err(Notice::new(
            format!("the login for {registry} is an identity token, which the kubelet cannot use"),
            "declare a user and a password for it",
        ));
    }
    let until = credential.usable_until;
    let left = until.map(|until| until.duration_since(Clock::system().now()).as_secs());
    // An unknown end: the next pull asks again, and a changed password counts at once.
    let keep = left.and_then(|left| u64::try_from(left).ok()).unwrap_or_default();
    let auth = AuthConfig { username: credential.username, password: credential.secret };
    Ok(CredentialProviderResponse::found(registry, auth, keep))
}

/// The registry of the image, in the kubelet's own spelling: the key under which it keeps and finds
/// credentials.
fn registry_in(request: &str) -> Result<String, Notice> {
    // The message of serde could contain the token of a service account.
    let request: CredentialProviderRequest = serde_json::from_str(request).map_err(|error| {
        unreadable(format!(
            "standard input is not a CredentialProviderRequest: line {} column {}",
            error.line(),
            error.column()
        ))
    })?;
    if request.kind != "CredentialProviderRequest" || request.api_version != API_VERSION {
        return Err(Notice::new(
            "the kubelet sent a request of another version",
            format!(
                "set `apiVersion: {API_VERSION}` for {PROGRAM} in the CredentialProviderConfig"
            ),
        ));
    }
    // Whatever names no registry gets the login of Docker Hub, so it has to be an image.
    if let Err(fault) = Image::parse(&request.image) {
        return Err(unreadable(format!(
            "standard input is not a CredentialProviderRequest: its image is not valid: {fault}"
        )));
    }
    match image::registry_and_path(&request.image) {
        Some((registry, _)) => Ok(registry.to_owned()),
        // The kubelet finds the credential of such an image under this name.
        None => Ok("index.docker.io".to_owned()),
    }
}

fn unreadable(why: String) -> Notice {
    Notice::new(why, format!("list {PROGRAM} in the kubelet's CredentialProviderConfig"))
}
