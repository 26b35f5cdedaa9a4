//! Proxies, certificates and files of certificates that change while the agent runs: whoever waits gets
//! verdicts reached with the new ones, and what was served stays served meanwhile.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::authority::Authority;
use crate::support::aws::FakeAws;
use crate::support::registry::{Auth, Registry};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json};
use crate::support::test_home::{TestHome, output_text};

const USER: &str = "puller";
const PASSWORD: &str = "secret";
/// A registry that only a proxy knows.
const HOST: &str = "registry.test";
/// A proxy that nobody runs.
const REFUSING: &str = "http://127.0.0.1:1";
const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

/// What a proxy responds on behalf of a registry that accepts one login.
fn answer(heard: &ReceivedRequest) -> Vec<u8> {
    match heard.header("authorization") {
        Some(_) => json(200, &["Docker-Distribution-Api-Version: registry/2.0"], "{}"),
        None => json(401, &["WWW-Authenticate: Basic realm=\"x\""], "{}"),
    }
}

async fn proxy() -> (ScriptedRegistry, String) {
    let proxy = ScriptedRegistry::start("127.0.0.1:0", None, answer).await;
    let url = format!("http://{}", proxy.address);
    (proxy, url)
}

/// A proxy that accepts connections and never responds.
fn silent_proxy() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn home_behind(proxy: &str) -> TestHome {
    let mut home = TestHome::new();
    home.declare("ACME", &format!("http://{HOST}"), (USER, PASSWORD));
    home.set("HTTP_PROXY", proxy);
    home
}

/// Runs `sync --wait`: its exit status and all that it prints.
fn sync_and_wait(home: &TestHome) -> (i32, String) {
    let command = home.with_declared(home.agent(&["sync", "--wait", "60s"]));
    let output = { command }.output().unwrap();
    (output.status.code().unwrap(), output_text(&output))
}

fn credential_is_served(home: &TestHome) -> bool {
    home.credential(HOST) == Some((USER.to_owned(), PASSWORD.to_owned()))
}

/// Fails unless `sync --wait` says these lines and ends with this status.
fn assert_sync(home: &TestHome, lines: &[&str], status: i32) {
    let (code, text) = sync_and_wait(home);
    for line in lines {
        assert!(text.lines().any(|it| it.trim() == *line), "{line:?} is not in:\n{text}");
    }
    assert_eq!(code, status, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_of_the_proxy_that_was_just_sent() {
    let (_proxy, working) = proxy().await;
    let mut home = home_behind(REFUSING);
    assert_sync(&home, &["added ACME", "ACME registry.test: unreachable"], 1);
    home.set("HTTP_PROXY", &working);
    assert_sync(&home, &["changed HTTP_PROXY", "ACME registry.test: ready"], 0);
    home.set("HTTP_PROXY", REFUSING);
    assert_sync(&home, &["changed HTTP_PROXY", "ACME registry.test: unreachable"], 1);
    assert!(credential_is_served(&home));
    home.set("HTTP_PROXY", &working);
    assert_sync(&home, &["changed HTTP_PROXY", "ACME registry.test: ready"], 0);
    home.set("NO_PROXY", HOST);
    assert_sync(&home, &["changed NO_PROXY", "ACME registry.test: unreachable"], 1);
    home.unset("NO_PROXY");
    assert_sync(&home, &["changed NO_PROXY", "ACME registry.test: ready"], 0);
    // Another proxy that this registry does not use.
    let verified_at = home.login("ACME")["verified_at"].clone();
    home.set("HTTPS_PROXY", REFUSING);
    assert_sync(&home, &["changed HTTPS_PROXY", "ACME registry.test: ready"], 0);
    assert_eq!(home.login("ACME")["verified_at"], verified_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_stays_served_while_it_is_verified_over_a_changed_proxy() {
    let (_proxy, working) = proxy().await;
    let (_listener, silent) = silent_proxy();
    let mut home = home_behind(&working);
    assert_sync(&home, &["ACME registry.test: ready"], 0);
    home.set("HTTP_PROXY", &silent);
    assert_eq!(home.sync(), "changed HTTP_PROXY");
    let pending = |home: &TestHome| {
        let status = home.status();
        let login = &status["registries"][0];
        assert!(login["reason"].is_null(), "{login:#}");
        (login["state"].clone(), status["settled"].clone())
    };
    let expected = ("pending".into(), false.into());
    assert_eq!(pending(&home), expected);
    assert!(credential_is_served(&home));
    let pid = i32::try_from(home.status()["pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    assert!(credential_is_served(&home));
    assert_eq!(pending(&home), expected);

    // What the silent proxy leads to no longer matters.
    home.set("HTTP_PROXY", &working);
    assert_sync(&home, &["changed HTTP_PROXY", "ACME registry.test: ready"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_verdict_is_of_the_proxy_that_was_sent_last() {
    let (_proxy, working) = proxy().await;
    let (_listener, silent) = silent_proxy();
    let mut home = home_behind(&silent);
    assert_eq!(home.sync(), "added ACME");
    home.set("HTTP_PROXY", &working);
    assert_sync(&home, &["changed HTTP_PROXY", "ACME registry.test: ready"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_aws_is_requested_over_the_proxy_that_was_just_sent() {
    let aws = FakeAws::start();
    aws.add_key("AKIADECLAREDKEY00000", PASSWORD, None);
    let (_listener, silent) = silent_proxy();
    let mut home = TestHome::new();
    fs::create_dir_all(home.path(".config/registry-agent")).unwrap();
    fs::write(home.path(".config/registry-agent/config.toml"), "verify = false\n").unwrap();
    home.declare("CLOUD", ECR, ("AKIADECLAREDKEY00000", PASSWORD));
    home.set("AWS_ENDPOINT_URL_ECR", "http://ecr.test");
    let asked_over = |home: &mut TestHome, proxy: &str, state: &str, status| {
        home.set("HTTP_PROXY", proxy);
        let line = format!("CLOUD {ECR}: {state}");
        assert_sync(home, &["changed HTTP_PROXY", &line], status);
    };
    home.set("HTTP_PROXY", REFUSING);
    assert_sync(&home, &["added CLOUD", &format!("CLOUD {ECR}: unreachable")], 1);
    home.set("HTTP_PROXY", &silent);
    home.sync();
    asked_over(&mut home, &format!("http://{}", aws.host()), "unverified", 0);
}

#[test]
fn a_verdict_is_of_the_certificates_that_were_just_sent() {
    let (authority, other) = (Authority::new("The authority"), Authority::new("Another"));
    let mut home = TestHome::new();
    let tls = authority.sign(&["127.0.0.1"]).write(&home.path(""));
    let registry = Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), Some(&tls));
    let file = home.path("authorities.pem");
    let path = file.to_str().unwrap();
    fs::write(&file, authority.pem()).unwrap();
    let line = |state: &str| format!("ACME {}: {state}", registry.server());
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    assert_sync(&home, &[&line("unreachable")], 1);
    home.set("SSL_CERT_FILE", path);
    assert_sync(&home, &["changed SSL_CERT_FILE", &line("ready")], 0);
    home.unset("SSL_CERT_FILE");
    assert_sync(&home, &["changed SSL_CERT_FILE", &line("unreachable")], 1);

    // The variables stay, and the files change.
    for variable in ["SSL_CERT_FILE", "ACME_CONTAINER_REGISTRY_CA_FILE"] {
        fs::write(&file, other.pem()).unwrap();
        home.set(variable, path);
        assert_sync(&home, &[&line("unreachable")], 1);
        fs::write(&file, authority.pem()).unwrap();
        assert_sync(&home, &["nothing changed", &line("ready")], 0);
        fs::write(&file, other.pem()).unwrap();
        home.exit_of(&["refresh"]);
        fs::write(&file, authority.pem()).unwrap();
        hang_up(&home.path("agent.sock.lock"));
        assert_sync(&home, &["nothing changed", &line("ready")], 0);
        home.unset(variable);
        assert_sync(&home, &[&line("unreachable")], 1);
    }
}

/// Sends SIGHUP to the supervisor that holds this lock, which makes the agent read everything again.
fn hang_up(lock: &Path) {
    let supervisor = crate::support::processes::only_pair(lock).supervisor.pid;
    kill(Pid::from_raw(supervisor), Signal::SIGHUP).unwrap();
}
