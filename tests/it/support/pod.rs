//! Pods of a manifest as containers of the docker engine: with the users, restrictions, volumes and
//! probes that the manifest states, as the kubelet would run them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::engine::{BUSYBOX, DEBIAN, Engine, docker, target};
use super::test_home::{output_text, run_with_input, succeed};

/// The image that `packaging/kubernetes/Dockerfile` makes.
const IMAGE: &str = "registry-agent-test/kubernetes:latest";

/// One pod.
pub(crate) struct Pod {
    spec: Value,
    directory: TempDir,
    containers: Vec<String>,
    _engine: Engine,
}

impl Pod {
    /// The pod with this specification, of which nothing runs yet.
    pub(crate) fn new(spec: Value) -> Self {
        let engine = Engine::take();
        let dist = root().join("dist/registry-agent");
        assert!(dist.exists(), "run `make feature` first");
        succeed(
            docker()
                .args(["build", "--quiet", "--network=none", "--tag", IMAGE, "--build-arg"])
                .arg(format!("BASE={BUSYBOX}"))
                .arg("--file")
                .arg(root().join("packaging/kubernetes/Dockerfile"))
                .arg(dist),
        );
        let directory = tempfile::tempdir().unwrap();
        // A process of any user has to reach the volumes.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { spec, directory, containers: Vec::new(), _engine: engine }
    }

    /// The node's directory for a volume; of an `emptyDir`, the directory itself.
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a Secret or a `ConfigMap` as the kubelet does: a change replaces one link.
    pub(crate) fn provide(&self, volume: &str, values: &BTreeMap<String, String>) {
        let directory = self.volume(volume);
        fs::create_dir_all(&directory).unwrap();
        let count = fs::read_dir(&directory).unwrap().count();
        let version = format!("..version-{count}");
        fs::create_dir(directory.join(&version)).unwrap();
        for (name, value) in values {
            fs::write(directory.join(&version).join(name), value).unwrap();
        }
        symlink(&version, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
        for name in values.keys() {
            let link = directory.join(name);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name), link).unwrap();
            }
        }
    }

    /// Runs a container until it ends.
    pub(crate) fn complete(&self, name: &str, command: Option<&[&str]>) -> Output {
        let mut run = self.docker_run(name, command);
        run.output().unwrap()
    }

    /// Starts a container and waits for its startup or readiness probe. Returns its identifier.
    pub(crate) fn start(&mut self, name: &str) -> String {
        let id = self.start_with(name, None);
        self.wait_for_probe(name, &id);
        id
    }

    /// Starts a container with another command. Returns its identifier.
    pub(crate) fn start_with(&mut self, name: &str, command: Option<&[&str]>) -> String {
        let run = self.docker_run(name, command);
        // The container stays until the test is over: its log explains a failure.
        let arguments = run.get_args().skip(1).filter(|argument| *argument != "--rm");
        let mut detached = docker();
        detached.args(["run", "--detach"]).args(arguments);
        let id = String::from_utf8(succeed(&mut detached).stdout).unwrap().trim().to_owned();
        self.containers.push(id.clone());
        id
    }

    /// Waits for the startup or readiness probe.
    pub(crate) fn wait_for_probe(&self, name: &str, id: &str) {
        let container = self.container(name);
        let probe = ["startupProbe", "readinessProbe"].map(|probe| &container[probe]["exec"]);
        let probe = probe.into_iter().find(|probe| !probe.is_null()).expect("a probe");
        let command = texts(&probe["command"]);
        eventually(id, &command.join(" "));
    }

    fn container(&self, name: &str) -> &Value {
        let lists = ["initContainers", "containers"].map(|list| self.spec[list].as_array());
        let mut all = lists.into_iter().flatten().flatten();
        all.find(|container| container["name"] == name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn docker_run(&self, name: &str, command: Option<&[&str]>) -> Command {
        let container = self.container(name);
        let pod = &self.spec["securityContext"];
        let rights = &container["securityContext"];
        let mut run = docker();
        run.args(["run", "--rm", "--network=host"]);
        run.arg(format!("--user={}:{}", pod["runAsUser"], pod["runAsGroup"]));
        // The default of the engine, with which it fails unless it can be used.
        assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(rights["allowPrivilegeEscalation"], false);
        run.arg("--security-opt=no-new-privileges");
        assert_eq!(rights["readOnlyRootFilesystem"], true);
        run.arg("--read-only");
        for capability in texts(&rights["capabilities"]["drop"]) {
            run.arg(format!("--cap-drop={capability}"));
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            let text = |key: &str| variable[key].as_str().unwrap();
            run.arg(format!("--env={}={}", text("name"), text("value")));
        }
        for mount in container["volumeMounts"].as_array().unwrap() {
            run.arg("--volume").arg(self.mount(mount));
        }
        let mut line: Vec<String> = match command {
            Some(command) => command.iter().map(|&word| word.to_owned()).collect(),
            None => texts(&container["command"]),
        };
        if line.is_empty() {
            run.arg(image(container));
        } else {
            run.arg("--entrypoint").arg(line.remove(0)).arg(image(container));
        }
        run.args(line).args(texts(&container["args"]));
        run
    }

    /// A mount in docker's form.
    fn mount(&self, mount: &Value) -> String {
        let name = mount["name"].as_str().unwrap();
        let volumes = self.spec["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == name).expect("the volume");
        let mut source = self.volume(name);
        if !volume["emptyDir"].is_null() || !volume["hostPath"].is_null() {
            fs::create_dir_all(&source).unwrap();
            let mode = if volume["emptyDir"].is_null() { 0o755 } else { 0o777 };
            fs::set_permissions(&source, fs::Permissions::from_mode(mode)).unwrap();
        }
        if let Some(path) = mount["subPath"].as_str() {
            source.push(path);
        }
        assert!(source.exists(), "the kubelet would make an empty directory {}", source.display());
        let end = if mount["readOnly"] == true { ":ro" } else { "" };
        format!("{}:{}{end}", source.display(), mount["mountPath"].as_str().unwrap())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for container in &self.containers {
            let _ = docker().args(["rm", "--force", container]).output();
        }
        let _ = docker().args(["rmi", "--force", IMAGE]).output();
    }
}

/// Repeats a shell script in a container until it succeeds; fails the test with the container's log.
pub(crate) fn eventually(id: &str, script: &str) {
    let patient =
        format!("i=0; until {script}; do i=$((i+1)); [ $i -lt 150 ] || exit 1; sleep 0.2; done");
    let output = docker().args(["exec", id, "sh", "-c", &patient]).output().unwrap();
    let log = || output_text(&docker().args(["logs", id]).output().unwrap());
    assert!(output.status.success(), "{script}: {}{}", output_text(&output), log());
}

/// Ours, or a stand-in for the image of an application: a Debian with `skopeo`.
fn image(container: &Value) -> &'static str {
    let name = container["image"].as_str().unwrap();
    if name.starts_with("registry.example.com/registry-agent:") { IMAGE } else { DEBIAN }
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The documents of a YAML file.
pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    let code = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
    let output = run_with_input(python().args(["-c", code]), yaml);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", output_text(&output)))
}

/// Python with the packages that `make setup` installs.
pub(crate) fn python() -> Command {
    Command::new(target().join("venv/bin/python"))
}

/// A file of `packaging/kubernetes`.
pub(crate) fn manifest(name: &str) -> PathBuf {
    root().join("packaging/kubernetes").join(name)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
