//! Finds what keeps clients from using our helper although the docker configuration names it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::docker_config;
use crate::domain::docker_config::{HELPER, credentials_store, holds_login};
use crate::domain::reasons::PublishReason;
use crate::domain::servers::server::Server;

/// Where clients look for credentials, according to one environment. A client may run in another
/// one.
pub struct ClientEnvironment<'a> {
    /// Looks up a variable; an empty one counts as unset.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The user's home directory.
    pub home: &'a Path,
    /// The user's id.
    pub uid: u32,
    /// The path of the docker configuration.
    pub docker_config: &'a Path,
}

/// All obstacles for these registries.
pub fn obstacles(environment: &ClientEnvironment<'_>, servers: &[Server]) -> Vec<PublishReason> {
    let mut found = Vec::new();
    if !servers.is_empty() && !environment.finds_helper(HELPER) {
        found.push(PublishReason::HelperMissing);
    }
    found.extend(missing_store(environment));
    found.extend(shadowed_by_environment(environment, servers));
    for path in auth_files(environment) {
        found.extend(shadowed_by_file(&path, servers));
    }
    found
}

/// The files that podman, skopeo and buildah read before docker's (containers-auth.json(5)).
pub fn auth_files(environment: &ClientEnvironment<'_>) -> Vec<PathBuf> {
    let directory = |name: &str| (environment.variable)(name).map(PathBuf::from);
    let runtime = directory("XDG_RUNTIME_DIR").map_or_else(
        || Path::new("/run/containers").join(environment.uid.to_string()),
        |runtime| runtime.join("containers"),
    );
    let config = directory("XDG_CONFIG_HOME").unwrap_or_else(|| environment.home.join(".config"));
    directory("REGISTRY_AUTH_FILE")
        .into_iter()
        .chain([runtime.join("auth.json"), config.join("containers/auth.json")])
        .filter(|path| path != environment.docker_config)
        .collect()
}

fn shadowed_by_file(path: &Path, servers: &[Server]) -> Vec<PublishReason> {
    // A file that we cannot read is unreadable for the user's clients as well.
    let Ok(Some(text)) = docker_config::read(path) else { return Vec::new() };
    let holds = |server: &&Server| holds_login(&text, server);
    let reason = |server: &Server| PublishReason::Shadowed {
        path: path.display().to_string(),
        key: server.name().to_owned(),
    };
    servers.iter().filter(holds).map(reason).collect()
}

/// docker 28.3 and later check the variable first. It has the format of the docker configuration.
fn shadowed_by_environment(
    environment: &ClientEnvironment<'_>,
    servers: &[Server],
) -> Vec<PublishReason> {
    let Some(text) = (environment.variable)("DOCKER_AUTH_CONFIG") else { return Vec::new() };
    let holds = |server: &&Server| holds_login(&text, server);
    let reason =
        |server: &Server| PublishReason::ShadowedByEnvironment { key: server.name().to_owned() };
    servers.iter().filter(holds).map(reason).collect()
}

fn missing_store(environment: &ClientEnvironment<'_>) -> Option<PublishReason> {
    let text = docker_config::read(environment.docker_config).ok()??;
    let store = credentials_store(&text).filter(|store| !environment.finds_helper(store))?;
    Some(PublishReason::StoreMissing {
        path: environment.docker_config.display().to_string(),
        store,
    })
}

impl ClientEnvironment<'_> {
    fn finds_helper(&self, name: &str) -> bool {
        self.helper_path(name).is_some()
    }

    /// The program of a credential helper on `PATH`.
    pub fn helper_path(&self, name: &str) -> Option<PathBuf> {
        let program = format!("docker-credential-{name}");
        let path = (self.variable)("PATH").unwrap_or_default();
        std::env::split_paths(OsStr::new(&path)).map(|dir| dir.join(&program)).find(|path| {
            fs::metadata(path)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
    }
}
