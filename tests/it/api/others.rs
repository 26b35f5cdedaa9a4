//! What other users learn: everything but the paths of package registries, which may contain a token.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::ask;
use super::limits::open_to_others;
use crate::support::package_registry::PackageRegistry;
use crate::support::processes::wait_until;
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

/// How the agent calls the program that pnpm runs for a URL.
fn file_name(url: &str) -> String {
    let encoded = |c: char| match c {
        _ if c.is_ascii_alphanumeric() || ".-".contains(c) => c.to_string(),
        _ => format!("_{:02X}", u32::from(c)),
    };
    url.chars().map(encoded).collect()
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
    let file = test_home.path("agent.prom");
    succeed(test_home.agent(&["metrics", "--textfile"]).arg(&file));
    let textfile = fs::read_to_string(file).unwrap();
    assert!(textfile.contains(&format!("server=\"{host}…\"")), "{textfile}");
    assert!(!textfile.contains(IN_PATH), "{textfile}");
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    let mut samples: Vec<&str> = samples.filter_map(|line| line.rsplit(' ').nth(1)).collect();
    let all = samples.len();
    samples.sort_unstable();
    samples.dedup();
    assert_eq!(samples.len(), all, "two samples are the same: {metrics}");
}

#[test]
fn another_user_sees_no_path_in_the_problems_of_the_files_of_package_clients() {
    let registry = PackageRegistry::start(&["Bearer right"]);
    let url = registry.url(&format!("/{IN_PATH}/npm/"));
    // A setting that pnpm reads instead of ours, or a directory in the place of the program that pnpm runs.
    let setting = url.split_once(':').unwrap().1.to_owned() + ":_authToken=theirs\n";
    let in_the_way = format!(".local/state/registry-agent/npm/{}/a", file_name(&url));
    for (code, path, text) in
        [("other-package-login", ".npmrc", &*setting), ("package-client-file", &in_the_way, "")]
    {
        let mut test_home = TestHome::new();
        test_home.declare_packages("ONE", &[("SERVER", &url), ("PASSWORD", "right")]);
        fs::create_dir_all(test_home.path(path).parent().unwrap()).unwrap();
        fs::write(test_home.path(path), text).unwrap();
        test_home.sync();
        open_to_others(&test_home);
        test_home.exit_of(&["wait"]);
        wait_until("no problem with a file of pnpm is named", || {
            ask(&test_home, "GET /v1/status").body.contains(code)
        });
        let status = ask(&test_home, "GET /v1/status").body;
        assert!(status.matches(IN_PATH).count() > 1, "{status}");
        for target in ["/v1/status", "/v1/registries/ONE", "/v1/events", "/metrics"] {
            let shown = as_nobody(&test_home, target);
            assert!(!shown.contains(IN_PATH), "{target}: {shown}");
        }
    }
}
