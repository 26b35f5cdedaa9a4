//! Metrics by the rules of Prometheus, on the socket and as a file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::ask;
use super::limits::open_to_others;
use crate::support::test_home::{TestHome, output_text, run_with_input, succeed};

/// From Debian's package `prometheus`, installed by `scripts/setup`.
fn check_with_promtool(metrics: &str) {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/promtool/promtool");
    let output = run_with_input(Command::new(program).args(["check", "metrics"]), metrics);
    assert!(output.status.success(), "{}\n{metrics}", output_text(&output));
    assert_eq!(output_text(&output), "", "{metrics}");
}

/// Samples by name and labels.
fn samples(metrics: &str) -> BTreeMap<String, i64> {
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[test]
fn the_metrics_follow_the_rules_of_prometheus() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", ("user", "secret"));
    test_home.start();
    open_to_others(&test_home);
    test_home.login("ACME");
    assert!(test_home.credential("127.0.0.1:1").is_some());
    assert!(test_home.credential("unknown.test").is_none());
    let socket = test_home.path("agent.sock");
    let mut curl = Command::new("setpriv");
    curl.args(["--reuid=65534", "--regid=65534", "--clear-groups", "curl", "--silent"]);
    succeed(curl.arg("--unix-socket").arg(socket).arg("http://agent/v1/credential?server=a"));

    let reply = ask(&test_home, "GET /metrics");
    assert!(reply.head.contains("content-type: text/plain; version=0.0.4"), "{}", reply.head);
    check_with_promtool(&reply.body);
    let samples = samples(&reply.body);
    for (name, value) in [
        (format!("registry_agent_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1),
        ("registry_agent_login_state{name=\"ACME\",server=\"127.0.0.1:1\",state=\"unreachable\"}".to_owned(), 1),
        ("registry_agent_login_state{name=\"ACME\",server=\"127.0.0.1:1\",state=\"ready\"}".to_owned(), 0),
        ("registry_agent_verifications_total{result=\"ready\"}".to_owned(), 0),
        ("registry_agent_exchanges_total{result=\"failure\"}".to_owned(), 0),
        ("registry_agent_credentials_served_total{result=\"served\"}".to_owned(), 1),
        ("registry_agent_credentials_served_total{result=\"unknown\"}".to_owned(), 1),
        ("registry_agent_credentials_served_total{result=\"withheld\"}".to_owned(), 0),
        ("registry_agent_requests_refused_total{reason=\"forbidden\"}".to_owned(), 1),
    ] {
        assert_eq!(samples.get(&name), Some(&value), "{name} in {}", reply.body);
    }
    // It is verified again soon.
    let unreachable = samples["registry_agent_verifications_total{result=\"unreachable\"}"];
    assert!(unreachable >= 1, "{}", reply.body);
    let states = samples.keys().filter(|name| name.starts_with("registry_agent_login_state"));
    assert_eq!(states.count(), 8);
}

#[test]
fn the_text_file_is_complete_readable_by_all_and_true_without_an_agent() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", ("user", "secret"));
    test_home.start();
    fs::create_dir(test_home.path("metrics")).unwrap();
    let file = test_home.path("metrics/agent.prom");
    let write = || {
        let command = format!(
            "umask 0077 && '{}' metrics --textfile metrics/agent.prom",
            env!("CARGO_BIN_EXE_registry-agent")
        );
        let output = succeed(test_home.command("sh").args(["-c", &command]));
        assert_eq!(output_text(&output), "");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_dir(test_home.path("metrics")).unwrap().count(), 1);
        let text = fs::read_to_string(&file).unwrap();
        check_with_promtool(&text);
        samples(&text)
    };
    let samples = write();
    assert_eq!(samples.get("registry_agent_up"), Some(&1));
    assert!(samples.contains_key("registry_agent_problems"));
    let printed = succeed(&mut test_home.agent(&["metrics"]));
    assert!(output_text(&printed).contains("registry_agent_up 1\n"));

    assert_eq!(test_home.exit_of(&["stop"]), 0);
    assert_eq!(write(), BTreeMap::from([("registry_agent_up".to_owned(), 0)]));
}

#[test]
fn a_text_file_that_cannot_be_written_is_named() {
    let test_home = TestHome::new();
    test_home.start();
    let output = test_home.agent(&["metrics", "--textfile", "missing/a.prom"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        output_text(&output),
        "registry-agent: missing/a.prom cannot be written: No such file or directory (os error 2)\n"
    );
    let output = test_home.agent(&["metrics", "--textfile", "bin"]).output().unwrap();
    assert_eq!(
        output_text(&output),
        "registry-agent: bin cannot be written: Is a directory (os error 21)\n"
    );
}
