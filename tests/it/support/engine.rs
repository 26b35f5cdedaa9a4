//! The docker engine and the Dev Container CLI that `make test` provides.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::test_home::{output_text, succeed};

/// A minimal Debian with `skopeo`, Python and a user `dev` without sudo.
pub(crate) const DEBIAN: &str = "registry-agent-test/python:12";
/// The same with systemd.
pub(crate) const SYSTEMD: &str = "registry-agent-test/systemd:12";
/// One static program and its `/bin/sh`.
pub(crate) const BUSYBOX: &str = "registry-agent-test/busybox:latest";

/// The name of every folder with a devcontainer.
pub(crate) const FOLDER: &str = "registry-agent-test";

/// The engine, used by one test at a time, because the Dev Container CLI does not share it.
pub(crate) struct Engine(#[expect(dead_code, reason = "the lock is held while it lives")] File);

impl Engine {
    /// Waits until no other test uses the engine.
    pub(crate) fn take() -> Self {
        let lock = File::create(target().join("engine.lock")).unwrap();
        lock.lock().unwrap();
        for image in [DEBIAN, BUSYBOX] {
            let output = docker().args(["image", "inspect", image]).output().unwrap();
            assert!(
                output.status.success(),
                "run `make test`, which provides it: {}",
                output_text(&output)
            );
        }
        Self(lock)
    }
}

impl Drop for Engine {
    /// Removes the containers and images of the Dev Container CLI, which names images after folders.
    fn drop(&mut self) {
        let ours = format!("reference=vsc-{FOLDER}-*");
        let Ok(images) = docker().args(["images", "--quiet", "--filter", &ours]).output() else {
            return;
        };
        for image in String::from_utf8_lossy(&images.stdout).lines() {
            let _ = docker().args(["rmi", "--force", image]).output();
        }
    }
}

/// The docker CLI with an empty configuration: for setup and inspection, never as a client.
pub(crate) fn docker() -> Command {
    let mut docker = Command::new("docker");
    docker.env("DOCKER_CONFIG", "/nonexistent");
    docker
}

/// Copies an image from the engine to a registry.
pub(crate) fn push(image: &str, to: &str, (user, password): (&str, &str)) {
    succeed(
        Command::new("skopeo")
            .args(["copy", "--quiet", "--dest-tls-verify=false", "--dest-creds"])
            .arg(format!("{user}:{password}"))
            .args([format!("docker-daemon:{image}"), format!("docker://{to}")]),
    );
}

/// The Dev Container CLI, where `make setup` put it.
pub(crate) fn devcontainer_cli() -> PathBuf {
    target().join("npm/devcontainer")
}

/// The build's directory, which also holds what `make setup` installs.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from)
}
