//! Finds what keeps clients from using our helper although the docker configuration names it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::docker_config;
use crate::domain::docker_config::{
    HELPER, credentials_store, entries_below, entry_for_repository, environment_logins, own_entries,
};
use crate::domain::reasons::{PublishReason, Remedy, shell_word};
use crate::domain::servers::image::Image;
use crate::domain::servers::server::Server;

/// Where clients look for credentials, according to one environment. A client may run in another
/// one.
pub struct ClientEnvironment<'a> {
    /// Looks up a variable; an empty one counts as unset.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The user's home directory.
    pub home: &'a Path,
    /// The user's ID in the container, as podman names its directory.
    pub uid: u32,
    /// The path of the docker configuration.
    pub docker_config: &'a Path,
}

/// All obstacles for these registries.
pub fn obstacles(environment: &ClientEnvironment<'_>, servers: &[Server]) -> Vec<PublishReason> {
    let mut found = Vec::new();
    if !servers.is_empty() && !environment.finds_helper(HELPER) {
        found.push(environment.missing_helper());
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

/// The login with which podman, skopeo and buildah override the registry's for this image.
pub fn shadowed_image(environment: &ClientEnvironment<'_>, image: &Image) -> Option<PublishReason> {
    auth_files(environment).into_iter().find_map(|path| {
        let text = docker_config::read(&path).ok()??;
        let entry = entry_for_repository(&text, &image.server, &image.repository)?;
        Some(PublishReason::Shadowed {
            path: path.display().to_string(),
            key: image.server.name().to_owned(),
            entry: entry.key,
            section: entry.section.into(),
        })
    })
}

/// The entries with which podman, skopeo and buildah override the registry's login for a part of it, and
/// their files.
pub fn shadowed_parts(
    environment: &ClientEnvironment<'_>,
    server: &Server,
) -> Vec<(PathBuf, Vec<String>)> {
    let parts = |path: PathBuf| {
        let text = docker_config::read(&path).ok()??;
        Some((path, entries_below(&text, server)))
    };
    let found = auth_files(environment).into_iter().filter_map(parts);
    found.filter(|(_, entries)| !entries.is_empty()).collect()
}

fn shadowed_by_file(path: &Path, servers: &[Server]) -> Vec<PublishReason> {
    // A file that we cannot read is unreadable for the user's clients as well.
    let Ok(Some(text)) = docker_config::read(path) else { return Vec::new() };
    let entries = own_entries(&text);
    let reason = |server: &Server| {
        let entry = entries.of(server)?;
        Some(PublishReason::Shadowed {
            path: path.display().to_string(),
            key: server.name().to_owned(),
            entry: entry.key.clone(),
            section: entry.section.into(),
        })
    };
    servers.iter().filter_map(reason).collect()
}

/// docker 28.3 and later check the variable first.
fn shadowed_by_environment(
    environment: &ClientEnvironment<'_>,
    servers: &[Server],
) -> Vec<PublishReason> {
    let Some(text) = (environment.variable)("DOCKER_AUTH_CONFIG") else { return Vec::new() };
    let logins = environment_logins(&text);
    let shadowed = servers.iter().filter_map(|server| {
        // docker asks for Docker Hub under its URL alone.
        let mut keys = server.keys().into_iter().filter(|key| !key.starts_with("docker.io"));
        keys.find(|key| logins.contains(key))
    });
    shadowed.map(|key| PublishReason::ShadowedByEnvironment { key, older: None }).collect()
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
    /// That our helper is not on `PATH`, with the command that links it there.
    pub fn missing_helper(&self) -> PublishReason {
        let installed = std::env::current_exe().ok().and_then(|program| {
            let helper = program.with_file_name(format!("docker-credential-{HELPER}"));
            helper.exists().then(|| helper.display().to_string())
        });
        let remedy = installed.zip(self.directory_for_programs()).map(|(helper, directory)| {
            let shown = directory.display().to_string();
            let link = format!("ln -sf {} {}/", shell_word(&helper), shell_word(&shown)).into();
            let may_write = access(&directory, AccessFlags::W_OK).is_ok();
            if may_write { Remedy::User(link) } else { Remedy::Root(link) }
        });
        PublishReason::HelperMissing { remedy }
    }

    /// Where on `PATH` the helper is looked for.
    pub fn helper_paths(&self) -> Vec<PathBuf> {
        self.path().iter().map(|dir| dir.join(format!("docker-credential-{HELPER}"))).collect()
    }

    /// The directory on `PATH` for programs of this machine, or else the first one.
    fn directory_for_programs(&self) -> Option<PathBuf> {
        let mut directories = self.path();
        directories.retain(|directory| directory.is_dir() && directory.is_absolute());
        let usual = directories.iter().find(|directory| *directory == Path::new("/usr/local/bin"));
        usual.or(directories.first()).cloned()
    }

    fn path(&self) -> Vec<PathBuf> {
        let path = (self.variable)("PATH").unwrap_or_default();
        std::env::split_paths(OsStr::new(&path)).collect()
    }

    fn finds_helper(&self, name: &str) -> bool {
        self.helper_path(name).is_some()
    }

    /// The program of a credential helper on `PATH`.
    pub fn helper_path(&self, name: &str) -> Option<PathBuf> {
        let program = format!("docker-credential-{name}");
        self.path().iter().map(|dir| dir.join(&program)).find(|path| is_program(path))
    }
}

/// Whether a shell would run the file.
pub fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
