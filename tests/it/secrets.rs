//! Uses recognizable secrets, then searches for them in every place where they could have been left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::json;

use crate::support::aws::FakeAws;
use crate::support::package_registry::PackageRegistry;
use crate::support::processes::{self, kill_9, only_pair};
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, run_with_input};

const PASSWORD: &str = "canary-of-the-password";
const STORED: &str = "canary-of-the-stored-login";
const SECRET_KEY: &str = "canary/of/the/secret/key/canary/of/the/sec";
const SESSION: &str = "canary-of-the-session-token";
const WRONG: &str = "canary-of-a-wrong-password";
const MALFORMED: &str = "canary-of-a-malformed-request";
const AMBIENT: &str = "canary-of-the-process-environment";
const PACKAGE_TOKEN: &str = "canary-of-a-package-token";
const WRONG_PACKAGE: &str = "canary-of-a-wrong-package-password";
/// Of the user `puller` with the wrong password.
const WRONG_PACKAGE_HEADER: &str = "cHVsbGVyOmNhbmFyeS1vZi1hLXdyb25nLXBhY2thZ2UtcGFzc3dvcmQ=";
const CANARIES: &[&str] = &[
    PASSWORD,
    STORED,
    SECRET_KEY,
    SESSION,
    WRONG,
    MALFORMED,
    AMBIENT,
    PACKAGE_TOKEN,
    WRONG_PACKAGE,
    WRONG_PACKAGE_HEADER,
];
const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

#[test]
fn no_secret_is_left_anywhere_but_what_docker_login_stored() {
    let users = [("puller", PASSWORD), ("own", STORED)];
    let (registry, other) = (
        Registry::start(&Auth::Htpasswd(&users), None),
        Registry::start(&Auth::Htpasswd(&users), None),
    );
    let packages = PackageRegistry::start(&[&format!("Bearer {PACKAGE_TOKEN}")]);
    let aws = FakeAws::start();
    aws.add_key("ASIACANARY0000000001", SECRET_KEY, Some(SESSION));
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), ("puller", PASSWORD));
    test_home.declare("WRONG", &other.server(), ("puller", WRONG));
    test_home.declare("CLOUD", ECR, ("ASIACANARY0000000001", SECRET_KEY));
    test_home.set("CLOUD_CONTAINER_REGISTRY_SESSION_TOKEN", SESSION);
    let (npm, pypi) = (packages.url("/npm/"), packages.url("/pypi/"));
    test_home.declare_packages("NPM", &[("SERVER", &npm), ("PASSWORD", PACKAGE_TOKEN)]);
    let wrong = [("SERVER", pypi.as_str()), ("USER", "puller"), ("PASSWORD", WRONG_PACKAGE)];
    test_home.declare_packages("PYPI", &wrong);
    test_home.set("AWS_SECRET_ACCESS_KEY", AMBIENT);
    test_home.set("REGISTRY_AGENT_LOG", "trace");
    // No request goes to the real AWS.
    test_home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    for (variable, value) in aws.variables() {
        test_home.set(&variable, &value);
    }
    test_home.start();
    test_home.sync();
    test_home.exit_of(&["wait"]);
    let (user, token) = test_home.credential(ECR).expect("a token of the stand-in");
    assert_eq!(user, "AWS");
    assert!(test_home.authorization(&npm).unwrap().ends_with(PACKAGE_TOKEN));
    assert_eq!(packages.received().iter().filter(|(path, _)| path == "/pypi/").count(), 1);
    let stored = json!({ "ServerURL": registry.server(), "Username": "own", "Secret": STORED });
    assert!(test_home.helper("store", &stored.to_string()).status.success());
    let malformed = [
        test_home.helper("store", &format!("{{\"ServerURL\": \"x.test\", \"Secret\": {MALFORMED}")),
        ask(&test_home, "PUT", "/v1/environment", &format!("{{\"A\": [\"{MALFORMED}\"]}}")),
        ask(&test_home, "POST", "/v1/logins", &format!("{{\"Username\": {MALFORMED}}}")),
    ];
    let pair = only_pair(&test_home.lock());
    kill_9(&pair.agent);
    assert_eq!(test_home.credential(ECR), Some(("AWS".to_owned(), token.clone())));

    let mut said_by = malformed.map(|output| output_text(&output)).to_vec();
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["events"],
        &["events", "--json"],
        &["check"],
        &["check", "WRONG"],
        &["check", "CLOUD"],
        &["check", "NPM"],
        &["check", "PYPI"],
        &["refresh"],
    ] {
        said_by.push(output_text(&test_home.agent(arguments).output().unwrap()));
    }
    said_by.push(test_home.package_credential(&pypi).1.to_string());
    for target in ["/metrics", "/v1/status", "/v1/registries/ACME", "/v1/events"] {
        said_by.push(output_text(&ask(&test_home, "GET", target, "")));
    }
    said_by.push(output_text(&test_home.helper("list", "")));
    said_by.push(String::from_utf8(test_home.helper("get", &other.server()).stderr).unwrap());

    let pair = only_pair(&test_home.lock());
    for pid in [pair.supervisor.pid, pair.agent.pid] {
        for file in ["cmdline", "environ"] {
            let content = fs::read(format!("/proc/{pid}/{file}")).unwrap();
            said_by.push(format!("{file}: {}", String::from_utf8_lossy(&content)));
        }
        assert!(processes::zombies_of(pid).is_empty());
    }
    for text in said_by {
        for canary in CANARIES.iter().copied().chain([token.as_str()]) {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }

    let kept = test_home.path(".local/state/registry-agent/logins.json");
    assert!(fs::read_to_string(&kept).unwrap().contains(STORED), "the search finds nothing at all");
    let mut searched = 0;
    for file in files(&test_home.path("")) {
        let Ok(content) = fs::read(&file) else { continue };
        searched += 1;
        for canary in CANARIES.iter().copied().chain([token.as_str()]) {
            let expected = file == kept && canary == STORED;
            let found = content.windows(canary.len()).any(|bytes| bytes == canary.as_bytes());
            assert!(found == expected, "{canary} in {}", file.display());
        }
    }
    assert!(searched >= 3, "the log, the docker configuration and the stored logins are files");
    let log = fs::read_to_string(test_home.path(".local/state/registry-agent/agent.log")).unwrap();
    assert!(!log.is_empty(), "the log that was searched says nothing");
}

/// Every regular file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Sends a request to the agent with curl.
fn ask(test_home: &TestHome, method: &str, target: &str, body: &str) -> Output {
    let mut curl = test_home.command("curl");
    curl.args([
        "--silent",
        "--include",
        "--max-time",
        "20",
        "--request",
        method,
        "--data-binary",
        "@-",
    ])
    .args(["--unix-socket", "agent.sock", &format!("http://agent{target}")]);
    let output = run_with_input(&mut curl, body);
    assert!(output.status.success(), "{}", output_text(&output));
    output
}
