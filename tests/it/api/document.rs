//! The `OpenAPI` document describes what the server does: routes, requests, responses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::limits::open_to_others;
use super::{ask, send};
use crate::support::isolated::{self, Etc};
use crate::support::test_home::{TestHome, output_text};

const FORWARDER: &str = include_str!("../fixtures/tcp_forwarder.py");
const NOBODY: u32 = 65534;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> Value {
    serde_json::from_str(&fs::read_to_string(root().join("docs/openapi.json")).unwrap()).unwrap()
}

/// The methods of each path.
fn operations(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .map(|(path, item)| (path.clone(), item.as_object().unwrap().keys().cloned().collect()))
        .collect()
}

/// A port of 127.0.0.1 that leads to the agent, as this user.
struct Forwarder(Child, u16);

impl Forwarder {
    fn start(test_home: &TestHome, uid: u32) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", FORWARDER])
            .arg(test_home.path("agent.sock"))
            .uid(uid)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self(child, port.trim().parse().unwrap())
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends requests that the document allows and that it does not, and checks each response.
fn schemathesis(test_home: &TestHome, uid: u32, more: &[&str]) {
    let forwarder = Forwarder::start(test_home, uid);
    let fixtures = root().join("tests/it/fixtures");
    let program = root().join("target/venv/bin/schemathesis");
    let python = root().join("target/venv/bin/python");
    let output = Command::new(python)
        .arg(program)
        .arg("--config-file")
        .arg(fixtures.join("schemathesis.toml"))
        .arg("run")
        .arg(root().join("docs/openapi.json"))
        .args(["--seed=1", "--max-examples=25", "--no-color"])
        .args(["--phases=examples,coverage,fuzzing", "--continue-on-failure", "--warnings=off"])
        // A response that the document does not list is an error, so this includes 500.
        .args(["--checks=all", "--exclude-checks=not_a_server_error"])
        .args(["--generation-database=none", "--suppress-health-check=all"])
        // A refresh responds within a minute.
        .args(["--request-timeout=70", "--max-response-time=70"])
        .arg(format!("--url=http://127.0.0.1:{}", forwarder.1))
        .args(more)
        // It leaves a cache there.
        .current_dir(test_home.path("."))
        .env("HOME", test_home.path("."))
        .env("SCHEMATHESIS_HOOKS", fixtures.join("schemathesis_hooks.py"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", output_text(&output));
}

/// No name resolves and no address but loopback is reachable, whatever servers are generated.
fn offline(test: impl FnOnce(&TestHome) + Send) {
    isolated::run(&Etc::default(), async || {
        // Nobody responds, so the first attempt need not take long.
        isolated::write("resolv.conf", "options timeout:1 attempts:1\n");
        let mut test_home = TestHome::new();
        test_home.declare("ACME", "127.0.0.1:1", ("user", "secret"));
        test_home.start();
        open_to_others(&test_home);
        test(&test_home);
    });
}

#[test]
fn every_response_to_the_owner_is_as_documented() {
    // The end of the agent would end the test.
    let but_shutdown = ["--exclude-operation-id=postShutdown"];
    offline(|test_home| schemathesis(test_home, 0, &but_shutdown));
}

#[test]
fn every_response_to_another_user_is_as_documented() {
    offline(|test_home| schemathesis(test_home, NOBODY, &[]));
}

#[test]
fn the_document_lists_every_route_and_method() {
    let test_home = TestHome::new();
    test_home.start();
    let operations = operations(&document());
    let source = fs::read_to_string(root().join("src/agent/api/mod.rs")).unwrap();
    let routes: BTreeSet<&str> =
        source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(routes, operations.keys().map(String::as_str).collect());
    for (path, methods) in operations {
        // No route supports it, so the response lists the methods.
        let reply = ask(&test_home, &format!("TRACE {}", path.replace("{asked}", "ACME")));
        let allow = reply.head.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap();
        let allowed: BTreeSet<String> =
            allow.split(',').filter(|method| *method != "head").map(str::to_owned).collect();
        assert_eq!(methods, allowed, "{path}");
    }
}

#[test]
fn the_document_is_served_and_has_the_version_of_the_agent() {
    let test_home = TestHome::new();
    test_home.start();
    let served: Value =
        serde_json::from_str(&ask(&test_home, "GET /v1/openapi.json").body).unwrap();
    assert_eq!(served, document());
    assert_eq!(served["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_field_of_the_status_and_the_events_is_documented() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", ("user", "secret"));
    test_home.set("HALF_CONTAINER_REGISTRY_SERVER", "127.0.0.1:2");
    test_home.start();
    test_home.login("ACME");
    let document = document();
    let fields = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap_or_else(|| panic!("{value}")).keys().cloned().collect()
    };
    let status = test_home.status();
    let events = ask(&test_home, "GET /v1/events").body;
    let event: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    let body = json!({ "HALF_CONTAINER_REGISTRY_SERVER": "127.0.0.1:2" }).to_string();
    let put =
        format!("PUT /v1/environment HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let change: Value = serde_json::from_str(&send(&test_home, put.as_bytes()).body).unwrap();
    for (schema, value) in [
        ("Status", &status),
        ("Source", &status["sources"][0]),
        ("Registry", &status["registries"][0]),
        ("ProblemEntry", &status["problems"][0]),
        ("Event", &event),
        ("EnvironmentChange", &change),
    ] {
        let properties = &document["components"]["schemas"][schema]["properties"];
        assert_eq!(fields(properties), fields(value), "{schema}");
    }
}
