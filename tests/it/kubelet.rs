//! The kubelet's credential provider plug-in: run and judged as the kubelet does
//! (`kubernetes/kubernetes`, `pkg/credentialprovider/plugin`, `pkg/credentialprovider/keyring.go`).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Output;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::aws::FakeAws;
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, run_with_input, succeed};

const LOGIN: (&str, &str) = ("puller", "p:a\"ss");
const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");
const PLUGIN: &str = "registry-agent-credential-provider";
const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

/// The response as the kubelet's strict decoder accepts it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Response {
    api_version: String,
    kind: String,
    cache_key_type: String,
    /// As Go writes durations; without one, the kubelet uses a default of its configuration.
    cache_duration: String,
    auth: Option<BTreeMap<String, Password>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    username: String,
    password: String,
}

/// The directory that the kubelet's `--image-credential-provider-bin-dir` names.
fn plugin_in(test_home: &TestHome) -> PathBuf {
    let directory = test_home.path("kubelet-plugins");
    fs::create_dir_all(&directory).unwrap();
    let plugin = directory.join(PLUGIN);
    if !plugin.exists() {
        symlink(HELPER, &plugin).unwrap();
    }
    plugin
}

/// Runs the plug-in as the kubelet does: without arguments, the request as Go encodes it.
fn ask(test_home: &TestHome, image: &str) -> Output {
    let request = json!({
        "kind": "CredentialProviderRequest", "apiVersion": API_VERSION, "image": image,
    });
    run_with_input(&mut test_home.command(plugin_in(test_home)), &format!("{request}\n"))
}

/// The response to a request that succeeds.
fn answer(test_home: &TestHome, image: &str) -> Response {
    let output = ask(test_home, image);
    assert!(output.status.success(), "{image}: {}", output_text(&output));
    assert!(output.stderr.is_empty(), "{image}: {}", output_text(&output));
    let response: Response = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{image}: {error}: {}", output_text(&output)));
    assert_eq!(response.api_version, API_VERSION);
    assert_eq!(response.kind, "CredentialProviderResponse");
    assert_eq!(response.cache_key_type, "Registry", "the credential depends on the registry alone");
    response
}

/// The credential with which the kubelet pulls the image.
fn used_for(response: &Response, image: &str) -> Option<(String, String)> {
    let auth = response.auth.as_ref()?;
    let (first, _) = image.split_once('/').unwrap_or((image, ""));
    let is_hub = first == "docker.io" || first == "index.docker.io" || !first.contains(['.', ':']);
    let found = auth.get(first).or_else(|| auth.get("index.docker.io").filter(|_| is_hub));
    found.map(|auth| (auth.username.clone(), auth.password.clone()))
}

fn pair((user, password): (&str, &str)) -> (String, String) {
    (user.to_owned(), password.to_owned())
}

/// The line with which a failed plug-in explains itself, which the kubelet logs.
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", output_text(output));
    assert!(output.stdout.is_empty(), "{}", output_text(output));
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(line.starts_with("registry-agent: ") && line.lines().count() == 1, "{line}");
    line
}

#[test]
fn the_kubelet_gets_the_login_of_each_spelling_of_an_image() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), LOGIN);
    test_home.declare("HUB", "docker.io", ("hubber", "hub-pass"));
    test_home.declare("PORT", "registry.invalid:443", ("porter", "port-pass"));
    // The proxy does not exist: these registries are unreachable and their logins are served.
    test_home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    test_home.start();
    test_home.exit_of(&["wait"]);

    let hub = ("hubber", "hub-pass");
    let local = registry.server();
    let table = [
        (format!("{local}/app"), LOGIN),
        (format!("{local}/team/app"), LOGIN),
        ("docker.io/library/alpine".to_owned(), hub),
        ("index.docker.io/team/app".to_owned(), hub),
        ("library/alpine".to_owned(), hub),
        ("alpine".to_owned(), hub),
        ("registry.invalid:443/app".to_owned(), ("porter", "port-pass")),
        ("registry.invalid/app".to_owned(), ("porter", "port-pass")),
    ];
    for (image, login) in table {
        let response = answer(&test_home, &image);
        assert_eq!(used_for(&response, &image), Some(pair(login)), "{image}: {response:?}");
        assert_eq!(response.auth.as_ref().map(BTreeMap::len), Some(1), "{image}");
        assert_eq!(response.cache_duration, "0s", "{image}: a password may change at any time");
    }
}

#[test]
fn a_registry_that_nobody_declared_is_pulled_without_a_credential() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", LOGIN);
    fs::create_dir_all(test_home.path(".docker")).unwrap();
    // The kubelet reads docker configurations by itself.
    let config = r#"{"auths": {"public.test": {"auth": "cGxhaW4tdXNlcjpwbGFpbi1wYXNz"}}}"#;
    fs::write(test_home.path(".docker/config.json"), config).unwrap();
    test_home.start();
    for image in ["public.test/app", "127.0.0.1:2/app", "docker.io/library/alpine", "alpine"] {
        let response = answer(&test_home, image);
        assert_eq!(response.auth, None, "{image}");
        assert_eq!(response.cache_duration, "0s", "{image}: a login may be declared at any time");
    }
}

#[test]
fn the_kubelet_keeps_a_token_until_the_margin_before_its_end() {
    let aws = FakeAws::start();
    aws.add_key(KEY, "secret", None);
    let mut test_home = TestHome::new();
    test_home.declare("WORK", ECR, (KEY, "secret"));
    for (name, value) in aws.variables() {
        test_home.set(&name, &value);
    }
    test_home.set("AWS_EC2_METADATA_DISABLED", "true");
    test_home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    test_home.set("NO_PROXY", "127.0.0.1");
    test_home.start();
    test_home.exit_of(&["wait"]);

    let image = format!("{ECR}/team/app");
    let instant = |text: &Value| -> Timestamp { text.as_str().unwrap().parse().unwrap() };
    let before = instant(&test_home.status()["at"]);
    let response = answer(&test_home, &image);
    let after = instant(&test_home.status()["at"]);
    let (user, password) = used_for(&response, &image).unwrap();
    assert_eq!((user.as_str(), password.is_empty()), ("AWS", false));
    let end = instant(&test_home.login("WORK")["expires_at"]);
    let kept: i64 = response.cache_duration.strip_suffix('s').unwrap().parse().unwrap();
    // The kubelet counts from an instant between the two.
    let (kept, margin) = (SignedDuration::from_secs(kept), SignedDuration::from_mins(1));
    assert!(before + kept <= end - margin, "{response:?} {end}");
    assert!(after + kept > end - margin - SignedDuration::from_secs(1), "{response:?} {end}");
    // Docker's protocol has no such field.
    let output = test_home.helper("get", ECR);
    let docker: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({"ServerURL": ECR, "Username": "AWS", "Secret": password});
    assert_eq!(docker, expected);
}

#[test]
fn a_login_that_is_withheld_fails_with_its_reason() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), (LOGIN.0, "wrong-canary"));
    test_home.set("HALF_CONTAINER_REGISTRY_SERVER", "half.test");
    test_home.set("HALF_CONTAINER_REGISTRY_USER", "half");
    test_home.start();
    test_home.exit_of(&["wait"]);
    let line = failure(&ask(&test_home, &format!("{}/app", registry.server())));
    assert!(line.contains("rejected") && line.contains("registry-agent check ACME"), "{line}");
    assert!(!line.contains("wrong-canary"), "{line}");
    let line = failure(&ask(&test_home, "half.test/app"));
    assert!(line.contains("HALF_CONTAINER_REGISTRY_PASSWORD"), "{line}");
}

#[test]
fn an_identity_token_is_no_credential_for_the_kubelet() {
    let test_home = TestHome::new();
    test_home.start();
    let login = json!({"ServerURL": "127.0.0.1:1", "Username": "<token>", "Secret": "canary"});
    let stored = test_home.helper("store", &login.to_string());
    assert!(stored.status.success(), "{}", output_text(&stored));
    let line = failure(&ask(&test_home, "127.0.0.1:1/app"));
    assert!(line.contains("identity token") && !line.contains("canary"), "{line}");
}

#[test]
fn without_an_agent_the_plug_in_starts_none() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", LOGIN);
    let mut plugin = test_home.with_declared(test_home.command(plugin_in(&test_home)));
    let request = json!({
        "kind": "CredentialProviderRequest", "apiVersion": API_VERSION, "image": "127.0.0.1:1/app",
    });
    let line = failure(&run_with_input(&mut plugin, &request.to_string()));
    assert!(line.contains("no agent is running on this node"), "{line}");
    assert!(line.contains("systemctl start registry-agent"), "{line}");
    assert_eq!(test_home.exit_of(&["status"]), 4, "the plug-in started an agent");
}

#[test]
fn an_agent_that_hangs_does_not_use_up_the_kubelets_minute() {
    let test_home = TestHome::new();
    let listener = UnixListener::bind(test_home.path("agent.sock")).unwrap();
    std::thread::scope(|scope| {
        let held = scope.spawn(move || listener.accept().unwrap().0);
        let request = json!({
            "kind": "CredentialProviderRequest", "apiVersion": API_VERSION, "image": "a.test/b",
        });
        let mut plugin = test_home.command("timeout");
        plugin.args(["50"]).arg(plugin_in(&test_home));
        let line = failure(&run_with_input(&mut plugin, &request.to_string()));
        assert!(line.contains("the agent did not respond in time"), "{line}");
        drop(held.join().unwrap());
    });
    fs::remove_file(test_home.path("agent.sock")).unwrap();
}

#[test]
fn another_users_agent_is_not_asked() {
    let test_home = TestHome::new();
    let listener = UnixListener::bind(test_home.path("agent.sock")).unwrap();
    fs::set_permissions(test_home.path("agent.sock"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(test_home.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(test_home.path("kubelet-plugins")).unwrap();
    fs::copy(HELPER, test_home.path("kubelet-plugins").join(PLUGIN)).unwrap();
    let request = json!({
        "kind": "CredentialProviderRequest", "apiVersion": API_VERSION, "image": "a.test/b",
    });
    let mut plugin = test_home.command(plugin_in(&test_home));
    let line = failure(&run_with_input(plugin.uid(65534), &request.to_string()));
    assert!(line.contains("belongs to uid 0") && line.contains("set `user` in"), "{line}");
    drop(listener);
    fs::remove_file(test_home.path("agent.sock")).unwrap();
}

#[test]
fn what_is_not_a_request_fails_without_an_echo() {
    let test_home = TestHome::new();
    let plugin = plugin_in(&test_home);
    let version = |version: &str, kind: &str| {
        json!({"kind": kind, "apiVersion": version, "image": "a.test/b",
               "serviceAccountToken": "canary"})
        .to_string()
    };
    let table = [
        ("", "standard input is not a CredentialProviderRequest"),
        ("{\"canary", "standard input is not a CredentialProviderRequest"),
        ("{\"image\":\"canary\"}", "standard input is not a CredentialProviderRequest"),
        (
            &version("credentialprovider.kubelet.k8s.io/v1beta1", "CredentialProviderRequest"),
            "set `apiVersion: credentialprovider.kubelet.k8s.io/v1`",
        ),
        (&version(API_VERSION, "Pod"), "another version"),
    ];
    for (input, expected) in table {
        let line = failure(&run_with_input(&mut test_home.command(&plugin), input));
        assert!(line.contains(expected), "{input}: {line}");
        assert!(!line.contains("canary"), "{line}");
    }
}

#[test]
fn a_request_without_a_valid_image_gets_no_login() {
    let mut test_home = TestHome::new();
    test_home.declare("HUB", "docker.io", LOGIN);
    test_home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    test_home.start();
    test_home.exit_of(&["wait"]);
    assert!(answer(&test_home, "alpine").auth.is_some(), "there is no login to withhold");
    for image in ["", " ", "a b", "/app", "docker.io/", "UPPER", "user:canary@r.test/app"] {
        let line = failure(&ask(&test_home, image));
        assert!(line.contains("is not a CredentialProviderRequest"), "{image:?}: {line}");
        assert!(!line.contains("canary"), "{line}");
    }
}

#[test]
fn the_plug_in_tells_its_version_and_how_it_is_used() {
    let test_home = TestHome::new();
    let plugin = plugin_in(&test_home);
    let version = succeed(test_home.command(&plugin).arg("--version"));
    let expected = format!("{PLUGIN} {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
    let wrong = test_home.command(&plugin).arg("get").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(output_text(&wrong).contains("usage: "), "{}", output_text(&wrong));
}
