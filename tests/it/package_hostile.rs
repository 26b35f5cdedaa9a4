//! Package registries and clients that mean harm: none gets a login that is not its own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::support::authority::Authority;
use crate::support::processes::{kill_9, only_pair};
use crate::support::scripted_registry::{
    self, ReceivedRequest, ScriptedRegistry, ScriptedResponse,
};
use crate::support::test_home::TestHome;

const SECRET: &str = "canary-of-a-package-login";

fn home_with(url: &str, more: &[(&str, &str)]) -> TestHome {
    let mut test_home = TestHome::new();
    test_home.declare_packages("NPM", &[("SERVER", url), ("PASSWORD", SECRET)]);
    test_home.declare_packages("NPM", more);
    test_home.start();
    test_home
}

/// The status and the body of the response to this query.
fn ask(test_home: &TestHome, query: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(test_home.path("agent.sock")).unwrap();
    write!(stream, "GET /v1/credential?{query} HTTP/1.0\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Asks for a login, and then answers with `script`.
async fn registry(
    script: impl Fn(&str) -> ScriptedResponse + Send + Sync + 'static,
) -> ScriptedRegistry {
    let answer = move |request: &ReceivedRequest| match request.header("authorization") {
        Some(authorization) => script(authorization),
        None => scripted_registry::reply(401, &["WWW-Authenticate: Bearer"], "").into(),
    };
    ScriptedRegistry::start("127.0.0.1:0", None, answer).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_odd_query_gets_a_login() {
    let registry = registry(|_| scripted_registry::json(200, &[], "{}").into()).await;
    let host = registry.address.to_string();
    let test_home = home_with(&format!("http://{host}/feed/"), &[]);
    assert_eq!(test_home.login("NPM")["state"], "ready");
    let encoded = host.replace(':', "%3A");
    assert_eq!(ask(&test_home, &format!("url=http://{encoded}/feed/")).0, 200);
    for (query, status) in [
        (String::new(), 400),
        ("url=".to_owned(), 404),
        (format!("server=a.test&url=http://{host}/feed/"), 400),
        (format!("url=http://{host}/feed/&url=http://{host}/feed/"), 400),
        (format!("URL=http://{host}/feed/"), 400),
        (format!("url=http://{host}/feed/&wait=-1"), 400),
        (format!("url=http://{host}/feed/&wait=10s"), 400),
        (format!("url=http://{host}/feed/%ff"), 400),
        (format!("url=http://{host}/feed/%00"), 404),
        (format!("url=http://{host}/feed/%0a"), 404),
        (format!("url=http://{host}/feed/%2500"), 404),
        (format!("url=http://{host}/feed/%250ax"), 404),
        (format!("url=http://{host}/feed/%25250d%25250a"), 404),
        (format!("url=http://{host}/feed/x%251b"), 404),
        (format!("url=http://{host}/feed/..%2f"), 404),
        (format!("url=http://{host}/feed/%252e%252e/"), 404),
        (format!("url=http://{host}/feed/%25252e%25252e/x"), 404),
        (format!("url=http://{host}/feed/x%25252f..%25255c.."), 404),
        (format!("url=http://{host}/feed/..%252f"), 404),
        (format!("url=http://{host}/feed%252f"), 404),
        (format!("url=http://{host}@evil.test/feed/"), 404),
        (format!("url=http://user@{host}/feed/"), 404),
        (format!("url=http://{host}%23@evil.test/feed/"), 404),
        (format!("url=http://{host}%5c@evil.test/feed/"), 404),
        (format!("url=https://{host}/feed/"), 404),
        (format!("url=//{host}/feed/"), 404),
        (format!("url={host}/feed/"), 404),
        (format!("url={host}"), 404),
        (format!("server={host}"), 404),
        (format!("server=http://{host}/feed/"), 404),
    ] {
        let (answered, body) = ask(&test_home, &query);
        assert_eq!(answered, status, "{query}: {body}");
        assert!(!body.contains(SECRET), "{query}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_repeats_of_a_login_is_shown_nowhere() {
    let registry = registry(|authorization| {
        let message = format!("{{\"message\":\"{authorization} is wrong\"}}");
        scripted_registry::json(401, &[], &message).into()
    })
    .await;
    let test_home = home_with(&format!("http://{}/", registry.address), &[]);
    assert_eq!(test_home.login("NPM")["state"], "rejected");
    let status = test_home.status().to_string();
    assert!(status.contains("it repeats a secret") && !status.contains(SECRET), "{status}");
    assert!(!status.contains(&SECRET[..12]), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_sends_without_end_is_read_to_a_limit() {
    let registry = registry(|_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
        ScriptedResponse::Endless(head.into())
    })
    .await;
    let test_home = home_with(&format!("http://{}/", registry.address), &[]);
    assert_eq!(test_home.login("NPM")["state"], "ready");
    assert!(registry.sent() < 64 << 20, "{} bytes", registry.sent());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_goes_only_to_a_host_whose_certificate_is_trusted() {
    let authority = Authority::new("packages");
    let identity = authority.sign(&["localhost"]);
    let answer = |request: &ReceivedRequest| match request.header("authorization") {
        Some(_) => scripted_registry::json(200, &[], "{}"),
        None => scripted_registry::reply(401, &["WWW-Authenticate: Bearer"], ""),
    };
    let registry = ScriptedRegistry::start("127.0.0.1:0", Some(identity.acceptor()), answer).await;
    let url = format!("https://localhost:{}/", registry.address.port());
    let test_home = home_with(&url, &[]);
    let login = test_home.login("NPM");
    assert_eq!(
        (&login["state"], &login["code"]),
        (&json!("unreachable"), &json!("unknown-authority"))
    );
    let hint = login["hint"].as_str().unwrap();
    assert!(hint.starts_with("set NPM_PACKAGE_REGISTRY_CA_FILE to"), "{hint}");
    assert!(hint.contains("update-ca-certificates") && !hint.contains("docker"), "{hint}");
    drop(test_home);
    assert_eq!(registry.heard(), []);

    // The file is for the agent alone.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let file = file.to_str().unwrap();
    let test_home = home_with(&url, &[("CA_FILE", file)]);
    let login = test_home.login("NPM");
    assert_eq!(
        (&login["state"], &login["code"]),
        (&json!("ready"), &json!("certificate-distrusted-by-clients"))
    );
    let (reason, hint) = (login["reason"].as_str().unwrap(), login["hint"].as_str().unwrap());
    assert!(reason.contains(file) && !reason.contains("docker"), "{reason}");
    assert!(hint.contains(file) && hint.contains("update-ca-certificates"), "{hint}");
    assert!(!hint.contains("docker"), "{hint}");
    for setting in ["NODE_EXTRA_CA_CERTS=", "PIP_CERT=", "UV_SYSTEM_CERTS=1"] {
        assert!(hint.contains(setting), "{hint}");
    }
    // A registry of one format has no other clients.
    let test_home = home_with(&format!("{url}repository/crates/"), &[("CA_FILE", file)]);
    let hint = test_home.login("NPM")["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("update-ca-certificates") && !hint.contains("export"), "{hint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_not_verified_has_a_remark_on_the_certificate_too() {
    let authority = Authority::new("packages");
    let identity = authority.sign(&["localhost"]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    for (status, code) in [(200, "not-asked"), (404, "nothing-at-url")] {
        let answer = move |_: &ReceivedRequest| scripted_registry::json(status, &[], "{}");
        let acceptor = Some(identity.acceptor());
        let registry = ScriptedRegistry::start("127.0.0.1:0", acceptor, answer).await;
        let url = format!("https://localhost:{}/", registry.address.port());
        let test_home = home_with(&url, &[("CA_FILE", file.to_str().unwrap())]);
        let login = test_home.login("NPM");
        assert_eq!((&login["state"], &login["code"]), (&json!("unverified"), &json!(code)));
        let remark = "certificate-distrusted-by-clients";
        assert_eq!(login["remarks"][0]["code"], remark, "{login:#}");
        kill_9(&only_pair(&test_home.lock()).agent);
        assert_eq!(test_home.login("NPM")["remarks"][0]["code"], remark);
    }
}
