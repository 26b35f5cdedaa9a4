//! `check IMAGE`: rights and quota.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Checked, PASSWORD, USER, registry, started};
use crate::support::authority::{Authority, Identity};
use crate::support::isolated::{self, Etc};
use crate::support::registry::{Auth, Registry};
use crate::support::scripted_registry::{
    ReceivedRequest, ScriptedRegistry, json as reply, reply as raw,
};
use crate::support::test_home::{TestHome, output_text};
use crate::support::token_server::{self, ISSUER, SERVICE, User};

const USERS: &[User] =
    &[("reader", "p", &["pull"]), ("writer", "p", &["pull", "push"]), ("nobody", "p", &[])];

/// A real registry, and the token server that states its rights.
fn with_tokens(
    runtime: &tokio::runtime::Runtime,
    directory: &Path,
) -> (Registry, ScriptedRegistry) {
    let signer = Identity::rsa();
    let files = signer.write(directory);
    let tokens = runtime.block_on(token_server::start(signer, USERS));
    let realm = format!("http://{}/token", tokens.address);
    let certificate = &files.certificate;
    let auth = Auth::Token { realm: &realm, service: SERVICE, issuer: ISSUER, certificate };
    (Registry::start(&auth, None), tokens)
}

#[test]
fn pull_and_push_are_told_in_words_and_a_denied_pull_fails() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (registry, _tokens) = with_tokens(&runtime, directory.path());
    for (user, words, remarks) in [
        ("reader", Some("pull allowed, push denied"), &["not-granted"][..]),
        ("writer", Some("pull allowed, push allowed"), &[]),
        ("nobody", None, &[]),
    ] {
        let mut home = TestHome::new();
        home.declare("ACME", &registry.server(), (user, "p"));
        home.start_agent();
        assert_eq!(Checked::of(&home, &["ACME"]).status, 0, "{user}: the login itself works");
        let image = format!("{}/team/app:v1@sha256:{}", registry.server(), "a".repeat(64));
        let checked = Checked::of(&home, &[&image]);
        let told = checked.step("image-access");
        if let Some(words) = words {
            assert_eq!((checked.status, told["detail"].as_str()), (0, Some(words)), "{told}");
            assert_eq!(checked.remarks("image-access"), remarks);
        } else {
            assert_eq!(checked.failed(), ("image-access", "not-granted"));
            let detail = told["detail"].as_str().unwrap();
            assert_eq!(detail.matches("login accepted").count(), 1, "{told}");
            assert_eq!(detail.matches("pull denied").count(), 1, "{told}");
        }
    }
}

#[test]
fn an_image_that_is_not_there_or_not_shared_fails() {
    let registry = registry();
    let home = started(&registry.server(), PASSWORD);
    let checked = Checked::of(&home, &[&format!("{}/team/app", registry.server())]);
    assert_eq!(checked.failed(), ("image-access", "no-such-image"));
}

#[test]
fn only_the_agents_user_may_ask_for_the_rights_of_a_login_that_is_served() {
    let registry = registry();
    let home = started(&registry.server(), "wrong");
    let ask = |image: &str| -> Value {
        let mut curl = home.command("curl");
        curl.args(["--silent", "--unix-socket", "agent.sock"]);
        curl.arg(format!("http://agent/v1/access?image={image}"));
        serde_json::from_slice(&curl.output().unwrap().stdout).unwrap()
    };
    let withheld = ask(&format!("{}/app", registry.server()));
    assert_eq!(withheld["code"], "credential-withheld", "{withheld}");
    assert_eq!(ask("other.example.com/app")["code"], "unknown-registry");
    assert_eq!(ask("UPPER")["status"], 400);
}

/// Docker Hub with a token server of its own, and a repository that may be pulled.
fn hub(heard: &ReceivedRequest) -> Vec<u8> {
    let ask = r#"WWW-Authenticate: Bearer realm="https://auth.docker.io/token",service="registry.docker.io""#;
    let access = json!([{"type": "repository", "name": "library/alpine", "actions": ["pull"]}]);
    let claims = URL_SAFE_NO_PAD.encode(json!({ "access": access }).to_string());
    let token = format!("e30.{claims}.c2ln");
    if heard.line.contains("auth.docker.io") {
        return reply(200, &[], &json!({ "token": token }).to_string());
    }
    let is_known = heard.header("authorization") == Some(&format!("Bearer {token}"));
    match heard.line.strip_prefix("HEAD https://registry-1.docker.io/v2/") {
        Some("library/alpine/manifests/3.20") if is_known => {
            raw(200, &["RateLimit-Limit: 100;w=21600", "RateLimit-Remaining: 76;w=21600"], "")
        }
        Some(_) => raw(404, &[], ""),
        None if is_known => reply(200, &[], "{}"),
        None => reply(401, &[ask], "{}"),
    }
}

#[test]
fn the_pulls_that_docker_hub_leaves_are_told() {
    let authority = Authority::new("The world's authority");
    let hosts = [("registry-1.docker.io", "127.0.0.1"), ("auth.docker.io", "127.0.0.1")];
    let names = ["registry-1.docker.io", "auth.docker.io"];
    let acceptor = authority.sign(&names).acceptor();
    isolated::run(&Etc { hosts: &hosts, roots: &authority.pem(), files: &[] }, async || {
        let _hub = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), hub).await;
        let checked = tokio::task::spawn_blocking(|| {
            let mut home = TestHome::new();
            home.declare("HUB", "docker.io", (USER, PASSWORD));
            home.start_agent();
            let checked = Checked::of(&home, &["alpine:3.20"]);
            assert_eq!(checked.status, 0, "{:#?}", checked.steps);
            let told = checked.step("image-access")["detail"].as_str().unwrap().to_owned();
            let text = output_text(&home.agent(&["check", "alpine:3.20"]).output().unwrap());
            assert!(text.contains("HUB docker.io"), "{text}");
            told
        });
        let told = checked.await.unwrap();
        let expected = "pull allowed, push denied; 76 of 100 pulls per 6 hours are left";
        assert_eq!(told, expected);
    });
}
