//! Kubernetes: the manifests, and what they run, with a real registry and real clients.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::engine::{BUSYBOX, docker, push};
use crate::support::pod::{Pod, documents, eventually, manifest, python};
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, run_with_input, succeed};

const USER: &str = "puller";
const PASSWORD: &str = "canary:with blank,$dollar";
const CHANGED: &str = "canary-changed";
/// The first version with sidecars, and the newest that the validator knows.
const VERSIONS: [&str; 2] = ["1.29", "1.37"];

/// Validates a manifest as the API server of several versions of Kubernetes does.
fn validate(file: &Path) {
    for version in VERSIONS {
        let mut validator = python();
        validator.args(["-m", "kubernetes_validate", "--strict", "-k", version]).arg(file);
        let output = succeed(&mut validator);
        assert!(output_text(&output).contains("passed"), "{}", output_text(&output));
    }
}

#[test]
fn the_validator_rejects_a_wrong_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = fs::read_to_string(manifest("sidecar.yaml")).unwrap();
    let file = directory.path().join("wrong.yaml");
    fs::write(&file, wrong.replace("restartPolicy:", "restartPolice:")).unwrap();
    let mut validator = python();
    let output = validator.args(["-m", "kubernetes_validate", "--strict"]).arg(file).output();
    let output = output.unwrap();
    assert!(!output.status.success(), "{}", output_text(&output));
}

#[test]
fn kubernetes_accepts_the_manifests() {
    let directory = fs::read_dir(manifest("")).unwrap();
    let files = directory.map(|file| file.unwrap().path());
    let manifests: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|end| end == "yaml")).collect();
    assert_eq!(manifests.len(), 2, "{manifests:?}");
    for file in manifests {
        validate(&file);
    }
}

#[test]
fn kubernetes_accepts_an_exported_secret() {
    let registry = Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), None);
    let mut test_home = TestHome::new();
    test_home.declare("TEAM", &registry.server(), (USER, PASSWORD));
    test_home.start_agent();
    let secret = succeed(&mut test_home.agent(&["export", "kubernetes-secret"])).stdout;
    let file = test_home.path("secret.yaml");
    fs::write(&file, &secret).unwrap();
    validate(&file);
    let secret = documents(&String::from_utf8(secret).unwrap()).remove(0);
    assert_eq!(secret["type"], "kubernetes.io/dockerconfigjson");
    assert_eq!(secret["data"].as_object().unwrap().len(), 1);
}

/// The kubelet reads no `identitytoken`, and would pull with an empty user (`kubernetes/kubernetes`,
/// `pkg/credentialprovider/config.go`).
#[test]
fn an_identity_token_is_omitted_from_an_exported_secret() {
    let mut test_home = TestHome::new();
    test_home.declare("TEAM", "127.0.0.1:1", (USER, PASSWORD));
    test_home.start();
    let login = json!({"ServerURL": "127.0.0.1:2", "Username": "<token>", "Secret": "canary"});
    let stored = test_home.helper("store", &login.to_string());
    assert!(stored.status.success(), "{}", output_text(&stored));
    test_home.exit_of(&["wait"]);
    let output = test_home.agent(&["export", "kubernetes-secret"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("127.0.0.1:2 is omitted: its login is an identity token"), "{stderr}");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let secret = documents(&String::from_utf8(output.stdout).unwrap()).remove(0);
    let config = secret["data"][".dockerconfigjson"].as_str().unwrap();
    let config: Value = serde_json::from_slice(&STANDARD.decode(config).unwrap()).unwrap();
    assert_eq!(config["auths"].as_object().unwrap().keys().collect::<Vec<_>>(), ["127.0.0.1:1"]);
    // docker understands it.
    let output = succeed(&mut test_home.agent(&["export", "docker-config"]));
    assert!(String::from_utf8_lossy(&output.stdout).contains("identitytoken"));
}

/// The kubelet reads this file at its start, and does not start if it is wrong (`kubernetes/kubernetes`,
/// `pkg/credentialprovider/plugin/config.go`).
#[test]
fn the_kubelet_accepts_the_configuration_of_the_plug_in() {
    let config = credential_provider_config();
    assert_eq!(config["apiVersion"], "kubelet.config.k8s.io/v1");
    assert_eq!(config["kind"], "CredentialProviderConfig");
    let providers = config["providers"].as_array().unwrap();
    assert_eq!(providers.len(), 1);
    let provider = providers[0].as_object().unwrap();
    assert_eq!(provider["name"], "registry-agent-credential-provider");
    assert_eq!(provider["apiVersion"], "credentialprovider.kubelet.k8s.io/v1");
    assert_eq!(provider["defaultCacheDuration"], "0s");
    assert_eq!(provider.len(), 4, "an unknown field: {config}");
    for image in provider["matchImages"].as_array().unwrap() {
        let image = image.as_str().unwrap();
        let host = image.split(':').next().unwrap();
        let is_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-*".contains(c);
        assert!(host.chars().all(is_host) && !host.is_empty(), "{image}");
    }
}

fn credential_provider_config() -> Value {
    let node = documents(&fs::read_to_string(manifest("node.yaml")).unwrap());
    let map = node.iter().find(|document| document["kind"] == "ConfigMap").unwrap();
    documents(map["data"]["credential-provider.yaml"].as_str().unwrap()).remove(0)
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn a_sidecar_serves_the_clients_of_its_pod_under_all_restrictions() {
    let registry = private_registry();
    let spec = documents(&fs::read_to_string(manifest("sidecar.yaml")).unwrap()).remove(0);
    let mut pod = Pod::new(spec["spec"].clone());
    pod.provide("registries", &declaration(&registry, PASSWORD));
    let sidecar = pod.start("registry-agent");
    // What clients read is published, not only known to the agent.
    succeed(docker().args(["exec", &sidecar, "registry-agent", "wait"]));
    let pull = |pod: &Pod| {
        let image = format!("docker://{}/private/app:1", registry.server());
        let inspect = ["skopeo", "inspect", "--tls-verify=false", "--format={{.Os}}", &image];
        let output = pod.complete("app", Some(&inspect));
        let log = || output_text(&docker().args(["logs", &sidecar]).output().unwrap());
        assert!(output.status.success(), "{}{}", output_text(&output), log());
        assert_eq!(String::from_utf8_lossy(&output.stdout), "linux\n");
    };
    pull(&pod);

    registry.set_users(&[(USER, CHANGED)]);
    pod.provide("registries", &declaration(&registry, CHANGED));
    let get = format!("printf {} | docker-credential-registry-agent get", registry.server());
    eventually(&sidecar, &format!("{get} | grep -q {CHANGED}"));
    pull(&pod);

    // `docker login` in the application.
    let own = json!({"ServerURL": "own.invalid", "Username": "me", "Secret": "canary-own"});
    let store = format!("printf '%s' '{own}' | docker-credential-registry-agent store");
    let stored = pod.complete("app", Some(&["sh", "-c", &store]));
    assert!(stored.status.success(), "{}", output_text(&stored));
    let other_user = ["exec", "--user=10002", &sidecar, "sh", "-c", &get];
    let refused = docker().args(other_user).output().unwrap();
    assert!(!refused.status.success(), "another user gets it: {}", output_text(&refused));
    assert!(!output_text(&refused).contains("canary"), "{}", output_text(&refused));

    // The kubelet starts a sidecar again that died, also while a client runs the helper.
    let waiting = "sleep 300 | docker-credential-registry-agent get";
    let busy = pod.start_with("app", Some(&["sh", "-c", waiting]));
    eventually(&busy, "grep -q docker-credenti /proc/*/comm");
    succeed(docker().args(["kill", &sidecar]));
    succeed(docker().args(["start", &sidecar]));
    pod.wait_for_probe("registry-agent", &sidecar);
    pull(&pod);
    let get_own = "printf own.invalid | docker-credential-registry-agent get";
    let kept = pod.complete("app", Some(&["sh", "-c", get_own]));
    assert!(output_text(&kept).contains("canary-own"), "{}", output_text(&kept));
    let logins = pod.volume("registry-agent").join(".local/state/registry-agent/logins.json");
    fs::remove_file(logins).unwrap();
    nothing_secret_is_in(&[&pod.volume("registry-agent")]);
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn a_node_installs_the_plug_in_and_serves_the_kubelet() {
    let registry = private_registry();
    let node = documents(&fs::read_to_string(manifest("node.yaml")).unwrap());
    let daemon_set = node.iter().find(|document| document["kind"] == "DaemonSet").unwrap();
    let mut pod = Pod::new(daemon_set["spec"]["template"]["spec"].clone());
    let map = node.iter().find(|document| document["kind"] == "ConfigMap").unwrap();
    let config: BTreeMap<String, String> = serde_json::from_value(map["data"].clone()).unwrap();
    pod.provide("config", &config);
    pod.provide("registries", &declaration(&registry, PASSWORD));
    for _ in 0..2 {
        let installed = pod.complete("install", None);
        assert!(installed.status.success(), "{}", output_text(&installed));
    }
    pod.start("registry-agent");

    // What the kubelet's two flags name.
    let directory = pod.volume("node");
    let config = fs::read_to_string(directory.join("credential-provider.yaml")).unwrap();
    let provider = documents(&config)[0]["providers"][0].clone();
    let plugin = directory.join("bin").join(provider["name"].as_str().unwrap());
    let request = json!({
        "kind": "CredentialProviderRequest",
        "apiVersion": provider["apiVersion"],
        "image": format!("{}/private/app", registry.server()),
    });
    let mut kubelet = Command::new(plugin);
    // On a node, the volume is where clients look for the socket anyway.
    kubelet.env_clear().env("REGISTRY_AGENT_SOCKET", pod.volume("socket").join("agent.sock"));
    let output = run_with_input(&mut kubelet, &request.to_string());
    assert!(output.status.success(), "{}", output_text(&output));
    let response: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({ registry.server(): {"username": USER, "password": PASSWORD} });
    assert_eq!(response["auth"], expected);
    nothing_secret_is_in(&[&directory, &pod.volume("socket"), &pod.volume("home")]);
}

fn private_registry() -> Registry {
    let registry = Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), None);
    push(BUSYBOX, &format!("{}/private/app:1", registry.server()), (USER, PASSWORD));
    registry
}

/// The content of the Secret `registries`.
fn declaration(registry: &Registry, password: &str) -> BTreeMap<String, String> {
    let values =
        [("SERVER", registry.server()), ("USER", USER.into()), ("PASSWORD", password.into())];
    values.map(|(suffix, value)| (format!("TEAM_CONTAINER_REGISTRY_{suffix}"), value)).into()
}

/// Searches the volumes that the agent writes to. Checks first that the search works.
fn nothing_secret_is_in(volumes: &[&Path]) {
    let found = |text: &str| {
        let mut grep = Command::new("grep");
        grep.args(["--recursive", "--text", "--devices=skip", "--files-with-matches", "--", text]);
        let output = grep.args(volumes).output().unwrap();
        output_text(&output)
    };
    assert!(!found("credHelpers").is_empty(), "the search finds nothing in {volumes:?}");
    assert_eq!(found("canary"), "", "a password is in a file");
}
