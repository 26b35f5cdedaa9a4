//! Every client that people use, each reading a private image through the helper and never given a
//! password. What each asks for is written down, and `docs/clients.md` is made of it.

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

/// What two of the clients make of the private image and the private Feature.
const BUILT: &str = "registry-agent-test/built";
const WITH_FEATURE: &str = "registry-agent-test/with-feature";

/// One way to read a private image.
struct Client {
    name: &'static str,
    /// What is run, as a person would say it.
    how: &'static str,
    version: fn(&Bench) -> Command,
    read: fn(&Bench) -> Vec<Command>,
}

/// What the clients work on.
struct Bench {
    test_home: TestHome,
    registry: Registry,
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn every_client_reads_a_private_image_through_the_helper() {
    let _engine = Engine::take();
    let bench = Bench::new();
    let mut table = String::new();
    let mut failures = String::new();
    for client in CLIENTS {
        match bench.try_out(client) {
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
        "docs/clients.md tells another story: run `make docs`"
    );
}

const CLIENTS: &[Client] = &[
    Client {
        name: "docker CLI",
        how: "docker pull",
        version: |bench| bench.run("/usr/bin/docker", &["--version"]),
        read: |bench| vec![bench.run("/usr/bin/docker", &["pull", &bench.image("127.0.0.1")])],
    },
    Client {
        name: "docker CLI, the first on PATH",
        how: "docker pull",
        version: |bench| bench.run("docker", &["--version"]),
        read: |bench| vec![bench.run("docker", &["pull", &bench.image("127.0.0.1")])],
    },
    Client {
        name: "docker CLI, classic builder",
        how: "docker build, private base image",
        version: |bench| bench.run("/usr/bin/docker", &["--version"]),
        read: |bench| {
            let dockerfile = format!("FROM {}\nENV built=yes\n", bench.image("127.0.0.1"));
            fs::create_dir_all(bench.test_home.path("build")).unwrap();
            fs::write(bench.test_home.path("build/Dockerfile"), dockerfile).unwrap();
            let mut build = bench.run("/usr/bin/docker", &["build", "--tag", BUILT, "build"]);
            build.env("DOCKER_BUILDKIT", "0");
            vec![build]
        },
    },
    Client {
        name: "docker-compose",
        how: "docker-compose pull",
        version: |bench| bench.run("docker-compose", &["--version"]),
        read: |bench| {
            let file = format!("services: {{app: {{image: {:?}}}}}\n", bench.image("127.0.0.1"));
            fs::write(bench.test_home.path("compose.yml"), format!("version: '3'\n{file}"))
                .unwrap();
            vec![bench.run("docker-compose", &["-f", "compose.yml", "pull"])]
        },
    },
    Client {
        name: "skopeo",
        how: "skopeo inspect",
        version: |bench| bench.run("skopeo", &["--version"]),
        read: |bench| {
            let image = format!("docker://{}", bench.image("127.0.0.1"));
            vec![bench.run("skopeo", &["inspect", "--tls-verify=false", &image])]
        },
    },
    Client {
        name: "podman",
        how: "podman pull",
        version: |bench| bench.run("podman", &["--version"]),
        read: |bench| {
            let mut pull = bench.run("podman", &storage("podman-root"));
            pull.args(["pull", "--tls-verify=false", &bench.image("127.0.0.1")]);
            vec![pull]
        },
    },
    Client {
        name: "buildah",
        how: "buildah pull",
        version: |bench| bench.run("buildah", &["--version"]),
        read: |bench| {
            let mut pull = bench.run("buildah", &storage("buildah-root"));
            pull.args(["pull", "--tls-verify=false", &bench.image("127.0.0.1")]);
            vec![pull]
        },
    },
    Client {
        name: "Python docker",
        how: "client.images.pull()",
        version: |bench| bench.python("print('docker', docker.__version__)"),
        read: |bench| {
            let pull = format!("docker.from_env().images.pull({:?})", bench.image("127.0.0.1"));
            vec![bench.python(&pull)]
        },
    },
    Client {
        name: "Dev Container CLI, image",
        how: "devcontainer up, private image",
        version: |bench| bench.devcontainer(&["--version"]),
        read: |bench| {
            let config = format!("{{\"image\": {:?}}}", bench.image("127.0.0.1"));
            let folder = bench.test_workspace(&format!("image/{FOLDER}"), &config);
            vec![bench.devcontainer(&["up", "--buildkit", "never", "--workspace-folder", &folder])]
        },
    },
    Client {
        name: "Dev Container CLI, Feature",
        how: "devcontainer features publish, then build with it",
        version: |bench| bench.devcontainer(&["--version"]),
        read: |bench| {
            bench.write_a_feature();
            let registry = format!("localhost:{}", bench.registry.port());
            let config = format!(
                "{{\"image\": {DEBIAN:?}, \"features\": {{\"{registry}/private/hello:1\": {{}}}}}}"
            );
            let folder = bench.test_workspace(&format!("feature/{FOLDER}"), &config);
            vec![
                bench.devcontainer(&[
                    "features",
                    "publish",
                    "features",
                    "--registry",
                    &registry,
                    "--namespace",
                    "private",
                ]),
                bench.devcontainer(&[
                    "build",
                    "--buildkit",
                    "never",
                    "--workspace-folder",
                    &folder,
                ]),
            ]
        },
    },
    Client {
        name: "Rust docker_credential and oci-client",
        how: "cargo run --example private_image",
        version: |bench| bench.run("echo", &["docker_credential 1.4, oci-client 0.18"]),
        read: |bench| {
            let example = Path::new(env!("CARGO_BIN_EXE_registry-agent")).parent().unwrap();
            let example = example.join("examples/private_image");
            vec![bench.run(&example.to_string_lossy(), &[&bench.image("127.0.0.1")])]
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
{table}";

impl Bench {
    fn new() -> Self {
        let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
        push(BUSYBOX, &format!("{}/private/app:1", registry.server()), LOGIN);
        let mut test_home = TestHome::new();
        test_home.declare("LOOPBACK", &registry.server(), LOGIN);
        test_home.declare("LOCALHOST", &format!("localhost:{}", registry.port()), LOGIN);
        let bench = Self { test_home, registry };
        let image = format!("docker://{}", bench.image("127.0.0.1"));
        let stranger = bench.run("skopeo", &["inspect", "--tls-verify=false", &image]).output();
        assert!(!stranger.unwrap().status.success(), "the image is not private");
        bench.test_home.start_agent();
        bench
    }

    /// Runs the client, and gives the line of the table or what went wrong.
    fn try_out(&self, client: &Client) -> Result<String, String> {
        let version = output_text(&succeed(&mut (client.version)(self)));
        let version = version.lines().next().unwrap_or_default().trim().to_owned();
        self.clear_the_engine();
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

    /// Takes what a client brought into the engine out of it, so that the next has to ask.
    fn clear_the_engine(&self) {
        let label =
            format!("label=devcontainer.local_folder={}", self.test_home.path("image").display());
        let ours = docker().args(["ps", "--all", "--quiet", "--filter", &label]).output().unwrap();
        for container in String::from_utf8_lossy(&ours.stdout).lines() {
            succeed(docker().args(["rm", "--force", container]));
        }
        // Most of them are not there.
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

impl Drop for Bench {
    fn drop(&mut self) {
        self.clear_the_engine();
    }
}

/// A place of its own for images, that works where the kernel offers nothing special.
fn storage(root: &str) -> [&str; 6] {
    ["--root", root, "--runroot", "storage-run", "--storage-driver", "vfs"]
}

/// The page without its column of versions, which differ from machine to machine.
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
