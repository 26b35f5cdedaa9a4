//! Common clients, each of which reads a private image through the helper without a password. The test
//! records what each asks the helper, and writes `docs/clients.md` from it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::engine::{
    BUSYBOX, DEBIAN, Engine, FOLDER, devcontainer_cli, docker, push, target,
};
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, succeed};

const LOGIN: (&str, &str) = ("puller", "p:ass w$rd 'with' \"ümlaut\"");

/// The images that two of the clients build from the private image and the private Feature.
const BUILT: &str = "registry-agent-test/built";
const WITH_FEATURE: &str = "registry-agent-test/with-feature";

/// One way to read a private image.
struct ClientCase {
    name: &'static str,
    /// What the client does, for the table.
    how: &'static str,
    version: fn(&ClientTest) -> Command,
    read: fn(&ClientTest) -> Vec<Command>,
}

/// A registry with a private image, and a home with a login for it.
struct ClientTest {
    test_home: TestHome,
    registry: Registry,
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn every_client_reads_a_private_image_through_the_helper() {
    let _engine = Engine::take();
    let setup = ClientTest::new();
    let mut table = String::new();
    let mut failures = String::new();
    for client in CLIENTS {
        match setup.run_client(client) {
            Ok(row) => table += &row,
            Err(fault) => writeln!(failures, "{}: {fault}", client.name).unwrap(),
        }
    }
    let page = PAGE.replace("{table}", &table);
    fs::write(target().join("clients.md"), &page).unwrap();
    assert!(failures.is_empty(), "{failures}");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md");
    let kept = fs::read_to_string(kept).unwrap_or_default();
    assert_eq!(
        without_versions(&kept),
        without_versions(&page),
        "docs/clients.md is not current: run `make docs`"
    );
}

const CLIENTS: &[ClientCase] = &[
    ClientCase {
        name: "docker CLI",
        how: "docker pull",
        version: |setup| setup.run("/usr/bin/docker", &["--version"]),
        read: |setup| vec![setup.run("/usr/bin/docker", &["pull", &setup.image("127.0.0.1")])],
    },
    ClientCase {
        name: "docker CLI, the first on PATH",
        how: "docker pull",
        version: |setup| setup.run("docker", &["--version"]),
        read: |setup| vec![setup.run("docker", &["pull", &setup.image("127.0.0.1")])],
    },
    ClientCase {
        name: "docker CLI, classic builder",
        how: "docker build, private base image",
        version: |setup| setup.run("/usr/bin/docker", &["--version"]),
        read: |setup| {
            let dockerfile = format!("FROM {}\nENV built=yes\n", setup.image("127.0.0.1"));
            fs::create_dir_all(setup.test_home.path("build")).unwrap();
            fs::write(setup.test_home.path("build/Dockerfile"), dockerfile).unwrap();
            let mut build = setup.run("/usr/bin/docker", &["build", "--tag", BUILT, "build"]);
            build.env("DOCKER_BUILDKIT", "0");
            vec![build]
        },
    },
    ClientCase {
        name: "docker-compose",
        how: "docker-compose pull",
        version: |setup| setup.run("docker-compose", &["--version"]),
        read: |setup| {
            let file = format!("services: {{app: {{image: {:?}}}}}\n", setup.image("127.0.0.1"));
            fs::write(setup.test_home.path("compose.yml"), format!("version: '3'\n{file}"))
                .unwrap();
            vec![setup.run("docker-compose", &["-f", "compose.yml", "pull"])]
        },
    },
    ClientCase {
        name: "skopeo",
        how: "skopeo inspect",
        version: |setup| setup.run("skopeo", &["--version"]),
        read: |setup| {
            let image = format!("docker://{}", setup.image("127.0.0.1"));
            vec![setup.run("skopeo", &["inspect", "--tls-verify=false", &image])]
        },
    },
    ClientCase {
        name: "podman",
        how: "podman pull",
        version: |setup| setup.run("podman", &["--version"]),
        read: |setup| {
            let mut pull = setup.run("podman", &storage("podman-root"));
            pull.args(["pull", "--tls-verify=false", &setup.image("127.0.0.1")]);
            vec![pull]
        },
    },
    ClientCase {
        name: "buildah",
        how: "buildah pull",
        version: |setup| setup.run("buildah", &["--version"]),
        read: |setup| {
            let mut pull = setup.run("buildah", &storage("buildah-root"));
            pull.args(["pull", "--tls-verify=false", &setup.image("127.0.0.1")]);
            vec![pull]
        },
    },
    ClientCase {
        name: "Python docker",
        how: "client.images.pull()",
        version: |setup| setup.python("print('docker', docker.__version__)"),
        read: |setup| {
            let pull = format!("docker.from_env().images.pull({:?})", setup.image("127.0.0.1"));
            vec![setup.python(&pull)]
        },
    },
    ClientCase {
        name: "Dev Container CLI, image",
        how: "devcontainer up, private image",
        version: |setup| setup.devcontainer(&["--version"]),
        read: |setup| {
            let config = format!("{{\"image\": {:?}}}", setup.image("127.0.0.1"));
            let folder = setup.test_workspace(&format!("image/{FOLDER}"), &config);
            vec![setup.devcontainer(&["up", "--buildkit", "never", "--workspace-folder", &folder])]
        },
    },
    ClientCase {
        name: "Dev Container CLI, Feature",
        how: "devcontainer features publish, then build with it",
        version: |setup| setup.devcontainer(&["--version"]),
        read: |setup| {
            setup.write_a_feature();
            let registry = format!("localhost:{}", setup.registry.port());
            let config = format!(
                "{{\"image\": {DEBIAN:?}, \"features\": {{\"{registry}/private/hello:1\": {{}}}}}}"
            );
            let folder = setup.test_workspace(&format!("feature/{FOLDER}"), &config);
            vec![
                setup.devcontainer(&[
                    "features",
                    "publish",
                    "features",
                    "--registry",
                    &registry,
                    "--namespace",
                    "private",
                ]),
                setup.devcontainer(&[
                    "build",
                    "--buildkit",
                    "never",
                    "--workspace-folder",
                    &folder,
                ]),
            ]
        },
    },
    ClientCase {
        name: "Rust docker_credential and oci-client",
        how: "cargo run --example private_image",
        version: |setup| setup.run("echo", &["docker_credential 1.4, oci-client 0.18"]),
        read: |setup| {
            let example = Path::new(env!("CARGO_BIN_EXE_registry-agent")).parent().unwrap();
            let example = example.join("examples/private_image");
            vec![setup.run(&example.to_string_lossy(), &[&setup.image("127.0.0.1")])]
        },
    },
];

const PAGE: &str = "\
# Clients

Each of these reads a private image through `docker-credential-registry-agent`, with nothing but the
`credHelpers` entry that the agent publishes. The table is written by the tests, from what each client
asked a helper that writes everything down. `PORT` stands for the registry's port.

| client | version tested | works how | asks the helper |
| --- | --- | --- | --- |
{table}
## docker's web login

`docker login` without arguments logs in to Docker Hub in a browser. Besides the login, docker stores an access token and a
refresh token under `https://index.docker.io/v1/access-token` and `…/v1/refresh-token`, and `docker logout` asks for the
refresh token to revoke it. The agent stores both with the login and returns them exactly. They are not logins: `list` and
`status` do not show them, and no registry receives them.

## What the helper prints to standard error

Clients show standard error, where the helper says in one line why it has no credential, or why it uses a plain login of the docker
configuration instead of the agent's. On success, and for registries that nobody declared, it prints nothing.

| line | what to do |
| --- | --- |
| the login is rejected: … | run the `registry-agent check NAME` that the line ends with |
| ACME_CONTAINER_REGISTRY_PASSWORD is not set | set the variable |
| the agent is stopped | `registry-agent sync` in a shell that has the variables |
| no agent was running; one was started, but it does not know … | `registry-agent sync` in a shell that has the variables |
| no agent is running, and none can start: … | correct the configuration file that the line names, then `registry-agent sync` |
| the agent cannot be started: … | remove the reason, then `registry-agent sync` |
| the agent did not respond in time; the agent's response is not understood | run the `kill -9 PID` that the line ends with: its supervisor starts another agent with the same logins |
| the agent at … belongs to uid … | the line that it ends with, as your own user |
| `sudo` uses root's docker configuration and root's agent, and root has no agent | run docker without `sudo`, or set `user` in `/etc/registry-agent/config.toml` to your user |
| … is not a regular file, is not valid JSON, cannot be read | repair the docker configuration |
";

impl ClientTest {
    fn new() -> Self {
        let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
        push(BUSYBOX, &format!("{}/private/app:1", registry.server()), LOGIN);
        let mut test_home = TestHome::new();
        test_home.declare("LOOPBACK", &registry.server(), LOGIN);
        test_home.declare("LOCALHOST", &format!("localhost:{}", registry.port()), LOGIN);
        let setup = Self { test_home, registry };
        let image = format!("docker://{}", setup.image("127.0.0.1"));
        let anonymous = setup.run("skopeo", &["inspect", "--tls-verify=false", &image]).output();
        assert!(!anonymous.unwrap().status.success(), "the image is not private");
        setup.test_home.start_agent();
        setup
    }

    /// Runs the client and returns its row of the table, or what failed.
    fn run_client(&self, client: &ClientCase) -> Result<String, String> {
        let version = output_text(&succeed(&mut (client.version)(self)));
        let version = version.lines().next().unwrap_or_default().trim().to_owned();
        self.clear_engine();
        self.test_home.asked();
        for mut command in (client.read)(self) {
            let output = command.output().map_err(|error| error.to_string())?;
            if !output.status.success() {
                return Err(format!(
                    "{command:?}: {}\n{:?}",
                    output_text(&output),
                    self.test_home.asked()
                ));
            }
        }
        let mut asked = self.test_home.asked();
        asked.sort();
        asked.dedup();
        if !asked.iter().any(|asked| asked.starts_with("get ")) {
            return Err(format!("it did not ask for a login, only {asked:?}"));
        }
        let port = self.registry.port().to_string();
        let asked = format!("`{}`", asked.join("`, `")).replace(&port, "PORT");
        Ok(format!("| {} | {version} | {} | {asked} |\n", client.name, client.how))
    }

    /// Removes the containers and images of a client, so that the next client has to pull again.
    fn clear_engine(&self) {
        let label =
            format!("label=devcontainer.local_folder={}", self.test_home.path("image").display());
        let ours = docker().args(["ps", "--all", "--quiet", "--filter", &label]).output().unwrap();
        for container in String::from_utf8_lossy(&ours.stdout).lines() {
            succeed(docker().args(["rm", "--force", container]));
        }
        // Most of these images do not exist.
        let image = self.image("127.0.0.1");
        docker().args(["rmi", "--force", &image, BUILT, WITH_FEATURE]).output().unwrap();
    }

    fn image(&self, host: &str) -> String {
        format!("{host}:{}/private/app:1", self.registry.port())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.test_home.command(program);
        command.args(arguments);
        command
    }

    fn python(&self, code: &str) -> Command {
        let python = target().join("venv/bin/python");
        self.run(&python.to_string_lossy(), &["-c", &format!("import docker; {code}")])
    }

    fn devcontainer(&self, arguments: &[&str]) -> Command {
        self.run(&devcontainer_cli().to_string_lossy(), arguments)
    }

    fn test_workspace(&self, name: &str, config: &str) -> String {
        let folder: PathBuf = self.test_home.path(name);
        fs::create_dir_all(folder.join(".devcontainer")).unwrap();
        fs::write(folder.join(".devcontainer/devcontainer.json"), config).unwrap();
        folder.to_string_lossy().into_owned()
    }

    fn write_a_feature(&self) {
        let folder = self.test_home.path("features/hello");
        fs::create_dir_all(&folder).unwrap();
        let about = r#"{"id": "hello", "version": "1.0.0", "name": "Hello"}"#;
        fs::write(folder.join("devcontainer-feature.json"), about).unwrap();
        fs::write(folder.join("install.sh"), "#!/bin/sh\necho hello\n").unwrap();
    }
}

impl Drop for ClientTest {
    fn drop(&mut self) {
        self.clear_engine();
    }
}

/// Options for separate image storage with a driver that needs no support by the kernel.
fn storage(root: &str) -> [&str; 6] {
    ["--root", root, "--runroot", "storage-run", "--storage-driver", "vfs"]
}

/// The page without its column of versions, which differ between machines.
fn without_versions(page: &str) -> Vec<String> {
    page.lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            match cells[..] {
                [client, _, how, asks] => [client, how, asks].join(" | "),
                _ => line.to_owned(),
            }
        })
        .collect()
}
