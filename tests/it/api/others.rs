//! What other users learn: everything but the paths of package registries, which may contain a token.

use std::process::Command;

use serde_json::Value;

use super::ask;
use super::limits::open_to_others;
use crate::support::package_registry::PackageRegistry;
use crate::support::test_home::{TestHome, succeed};

const IN_PATH: &str = "entitlement-4Fd9aQ";

/// The response to another user.
fn as_nobody(test_home: &TestHome, target: &str) -> String {
    let mut curl = Command::new("setpriv");
    curl.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    curl.args(["curl", "--silent", "--unix-socket"]).arg(test_home.path("agent.sock"));
    let output = succeed(curl.arg(format!("http://agent{target}")));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn another_user_sees_the_host_of_a_package_registry_and_not_its_path() {
    let registry = PackageRegistry::start(&["Bearer right"]);
    let mut test_home = TestHome::new();
    let url = |path: &str| registry.url(&format!("/{IN_PATH}/{path}/"));
    for (name, path, token) in
        [("ONE", "one", "right"), ("OTHER", "other", "wrong"), ("GONE", "gone", "right")]
    {
        test_home.declare_packages(name, &[("SERVER", &url(path)), ("PASSWORD", token)]);
    }
    let half = format!("half.test/{IN_PATH}/feed");
    test_home.declare_packages("HALF", &[("SERVER", &half), ("USER", "dev")]);
    test_home.declare("IMAGES", "docker.io", ("dev", "secret"));
    test_home.sync_in_vain();
    open_to_others(&test_home);
    test_home.exit_of(&["wait"]);
    test_home.unset("GONE_PACKAGE_REGISTRY_SERVER");
    test_home.unset("GONE_PACKAGE_REGISTRY_PASSWORD");
    test_home.sync_in_vain();

    let host = registry.url("/");
    for target in
        ["/v1/status", "/v1/registries/ONE", "/v1/registries/OTHER", "/v1/events", "/metrics"]
    {
        let own = ask(&test_home, &format!("GET {target}")).body;
        assert!(own.contains(IN_PATH), "{target}: {own}");
        let shown = as_nobody(&test_home, target);
        assert!(shown.contains(&format!("{host}…")), "{target}: {shown}");
        assert!(!shown.contains(IN_PATH), "{target}: {shown}");
    }
    let status: Value = serde_json::from_str(&as_nobody(&test_home, "/v1/status")).unwrap();
    let servers: Vec<&str> = status["registries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["server"].as_str().unwrap())
        .collect();
    let hidden = format!("{host}…");
    assert_eq!(servers, [&hidden, &hidden, "https://index.docker.io/v1/"]);

    let metrics = as_nobody(&test_home, "/metrics");
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    let mut samples: Vec<&str> = samples.filter_map(|line| line.rsplit(' ').nth(1)).collect();
    let all = samples.len();
    samples.sort_unstable();
    samples.dedup();
    assert_eq!(samples.len(), all, "two samples are the same: {metrics}");
}
