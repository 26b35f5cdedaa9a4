//! A workspace whose devcontainer uses the Feature, started by the real Dev Container CLI.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::engine::{Engine, FOLDER, devcontainer_cli, docker};
use super::test_home::{output_text, succeed};

/// The folder, and its container once it runs.
pub(crate) struct TestWorkspace {
    directory: TempDir,
    container: String,
    uid: Option<u32>,
    _engine: Engine,
}

/// An image that a test made of a container.
pub(crate) struct Snapshot(String);

impl TestWorkspace {
    /// A folder with this `devcontainer.json` plus the Feature and the host's network.
    pub(crate) fn new(mut config: Value) -> Self {
        let engine = Engine::take();
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join(FOLDER).join(".devcontainer");
        fs::create_dir_all(&folder).unwrap();
        if config["features"].is_null() {
            config["features"] = json!({"./registry-agent": {}});
        }
        let run_args = config["runArgs"].as_array().cloned().unwrap_or_default();
        config["runArgs"] = [vec![json!("--network=host")], run_args].concat().into();
        fs::write(folder.join("devcontainer.json"), config.to_string()).unwrap();
        let feature = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/registry-agent");
        assert!(feature.exists(), "run `make feature` first");
        succeed(Command::new("cp").arg("-r").arg(feature).arg(&folder));
        Self { directory, container: String::new(), uid: None, _engine: engine }
    }

    /// Writes a file next to `devcontainer.json`.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let folder = self.directory.path().join(FOLDER).join(".devcontainer");
        fs::write(folder.join(name), text).unwrap();
    }

    /// Writes a Feature next to `devcontainer.json`, in a folder of its ID.
    pub(crate) fn write_feature(&self, metadata: &Value, install: &str) {
        let mut metadata = metadata.clone();
        let id = metadata["id"].as_str().unwrap().to_owned();
        metadata["name"] = json!(id);
        metadata["version"] = json!("1.0.0");
        let folder = self.directory.path().join(FOLDER).join(".devcontainer").join(id);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("devcontainer-feature.json"), metadata.to_string()).unwrap();
        fs::write(folder.join("install.sh"), format!("#!/bin/sh\nset -e\n{install}")).unwrap();
    }

    /// Makes the Dev Container CLI believe that a user with this ID runs it. It gives the ID to the user in the
    /// container.
    pub(crate) fn set_uid_of_the_host(&mut self, uid: u32) {
        self.uid = Some(uid);
    }

    /// `devcontainer up` with secrets: creates the container, or attaches to it. Returns the log.
    pub(crate) fn up(&mut self, secrets: &Value) -> String {
        let file = self.directory.path().join("secrets.json");
        fs::write(&file, secrets.to_string()).unwrap();
        let mut up = Command::new("timeout");
        if let Some(uid) = self.uid {
            let code = format!("process.getuid = process.getgid = () => {uid}");
            let script = self.directory.path().join("uid.js");
            fs::write(&script, code).unwrap();
            up.env("NODE_OPTIONS", format!("--require={}", script.display()));
        }
        let output = succeed(
            up.args(["--kill-after=5", "300"])
                .arg(devcontainer_cli())
                .args(["up", "--buildkit", "never", "--log-level", "trace"])
                .arg("--workspace-folder")
                .arg(self.directory.path().join(FOLDER))
                .arg("--secrets-file")
                .arg(&file)
                .env("TMPDIR", self.directory.path())
                .env("HOME", self.directory.path()),
        );
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        result["containerId"].as_str().unwrap().clone_into(&mut self.container);
        output_text(&output)
    }

    /// Runs a shell script in the container as a user, like a new terminal without secrets.
    pub(crate) fn run(&self, user: &str, script: &str) -> Output {
        docker()
            .args(["exec", "--user", user, &self.container, "sh", "-c", script])
            .output()
            .unwrap()
    }

    /// Runs a script that must succeed, and returns its standard output.
    pub(crate) fn stdout(&self, user: &str, script: &str) -> String {
        let output = self.run(user, script);
        assert!(output.status.success(), "{script}: {}", output_text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Repeats the script until it succeeds, for at most half a minute.
    pub(crate) fn eventually(&self, user: &str, script: &str) -> String {
        let patient = format!(
            "i=0; until ({script}) 2> /tmp/{user}.output; do i=$((i+1)); \
             [ $i -lt 150 ] || {{ cat /tmp/{user}.output >&2; exit 1; }}; sleep 0.2; done"
        );
        self.stdout(user, &patient)
    }

    /// The output of this docker command for the container.
    pub(crate) fn engine_says(&self, verb: &[&str]) -> String {
        output_text(&succeed(docker().args(verb).arg(&self.container)))
    }

    /// `docker stop` and `docker start`: no hook runs.
    pub(crate) fn stop_and_start(&self) {
        succeed(docker().args(["stop", "--time", "1", &self.container]));
        succeed(docker().args(["start", &self.container]));
    }

    /// `docker commit`: an image of what is on the container's disk.
    pub(crate) fn commit(&self) -> Snapshot {
        let name = "registry-agent-test/snapshot:latest".to_owned();
        succeed(docker().args(["commit", &self.container, &name]));
        Snapshot(name)
    }

    /// The image of the container.
    pub(crate) fn image(&self) -> String {
        let image = docker().args(["inspect", "--format", "{{.Image}}", &self.container]).output();
        String::from_utf8(image.unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Whether any file of the container or its image contains a text.
    pub(crate) fn any_file_has(&self, text: &str) -> bool {
        let files = format!("docker export {}; docker save {}", self.container, self.image());
        let mut search = Command::new("sh");
        search.args(["-c", &format!("{{ {files}; }} | grep -aF -e \"$0\" | head -n 1"), text]);
        !succeed(&mut search).stdout.is_empty()
    }
}

impl Drop for TestWorkspace {
    fn drop(&mut self) {
        if self.container.is_empty() {
            return;
        }
        let _ = docker().args(["rm", "--force", &self.container]).output();
    }
}

impl Snapshot {
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let _ = docker().args(["rmi", "--force", &self.0]).output();
    }
}
