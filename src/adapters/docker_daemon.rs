//! The configuration of the docker daemon on this machine, which clients do not see.

use std::path::Path;

use serde::Deserialize;

use super::docker_config;

/// The default location of the daemon's configuration (`dockerd(8)`).
const CONFIGURATION: &str = "/etc/docker/daemon.json";

/// The registries to which the daemon speaks plain HTTP. Empty if the file is missing or malformed: the
/// daemon may run on another machine.
pub(super) fn insecure_registries() -> Vec<String> {
    #[derive(Default, Deserialize)]
    struct Daemon {
        #[serde(default, rename = "insecure-registries")]
        insecure_registries: Vec<String>,
    }
    let text = docker_config::read(Path::new(CONFIGURATION)).ok().flatten().unwrap_or_default();
    serde_json::from_str::<Daemon>(&text).unwrap_or_default().insecure_registries
}
