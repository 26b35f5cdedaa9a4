//! docker's web login, which stores an access and a refresh token besides the login of Docker Hub: the
//! real docker CLI, with Docker's own hosts on loopback.

use std::fs;
use std::process::Output;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::authority::Authority;
use crate::support::isolated::{self, Etc};
use crate::support::scripted_registry::{
    self, ReceivedRequest, ScriptedRegistry, ScriptedResponse,
};
use crate::support::test_home::{TestHome, credential, output_text, succeed};

const HUB: &str = "https://index.docker.io/v1/";
const ACCESS: &str = "https://index.docker.io/v1/access-token";
const REFRESH: &str = "https://index.docker.io/v1/refresh-token";
const NOT_FOUND: &str = "credentials not found in native keychain\n";
const PERSONAL_TOKEN: &str = "dckr_pat_personal";
/// White space in a secret belongs to it.
const ACCESS_TOKEN: &str = " access token\t";
const REFRESH_TOKEN: &str = "refresh..client\n";

fn store(test_home: &TestHome, (server, user, secret): (&str, &str, &str)) {
    let login = json!({ "ServerURL": server, "Username": user, "Secret": secret });
    let stored = test_home.helper("store", &login.to_string());
    assert!(stored.status.success() && stored.stdout.is_empty(), "{}", output_text(&stored));
}

/// What docker stores in its web login, in its order.
fn log_in(test_home: &TestHome) {
    store(test_home, (ACCESS, "webber", ACCESS_TOKEN));
    store(test_home, (REFRESH, "webber", REFRESH_TOKEN));
    store(test_home, (HUB, "webber", PERSONAL_TOKEN));
}

fn secret(test_home: &TestHome, server: &str) -> Option<String> {
    let output = test_home.helper("get", server);
    let message = output_text(&output);
    let found = credential(&output);
    if found.is_none() {
        assert_eq!(output.stdout, NOT_FOUND.as_bytes(), "{message}");
    }
    assert!(output.stderr.is_empty(), "{message}");
    found.map(|(_, secret)| secret)
}

fn logins_file(test_home: &TestHome) -> String {
    let file = test_home.path(".local/state/registry-agent/logins.json");
    fs::read_to_string(file).unwrap_or_default()
}

/// A home that declares Docker Hub, which a proxy that does not exist keeps out of reach.
fn home_with_docker_hub() -> TestHome {
    let mut test_home = TestHome::new();
    test_home.declare("HUB", "docker.io", ("hubber", "declared"));
    test_home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    test_home.start();
    test_home.exit_of(&["wait"]);
    test_home
}

fn restart(test_home: &TestHome) {
    succeed(&mut test_home.agent(&["stop"]));
    test_home.start();
}

#[test]
fn the_tokens_of_a_web_login_come_back_exactly_until_logout() {
    let test_home = home_with_docker_hub();
    log_in(&test_home);
    for when in ["at once", "after a restart"] {
        assert_eq!(secret(&test_home, ACCESS).as_deref(), Some(ACCESS_TOKEN), "{when}");
        assert_eq!(secret(&test_home, REFRESH).as_deref(), Some(REFRESH_TOKEN), "{when}");
        for asked in [HUB, "docker.io", "index.docker.io"] {
            assert_eq!(secret(&test_home, asked).as_deref(), Some(PERSONAL_TOKEN), "{when}");
        }
        let listed = test_home.helper("list", "");
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        assert_eq!(listed, json!({ HUB: "webber", "docker.io": "webber" }), "{when}");
        let status = test_home.status();
        assert_eq!(status["registries"].as_array().unwrap().len(), 1, "{when}: {status:#}");
        assert!(!status.to_string().contains("token"), "{when}: {status:#}");
        restart(&test_home);
    }
    // `docker logout` asks for the refresh token to revoke it, and erases all three.
    assert_eq!(secret(&test_home, REFRESH).as_deref(), Some(REFRESH_TOKEN));
    for server in [ACCESS, REFRESH, HUB] {
        let erased = test_home.helper("erase", server);
        assert!(erased.status.success() && erased.stdout.is_empty(), "{}", output_text(&erased));
    }
    for when in ["at once", "after a restart"] {
        assert_eq!(secret(&test_home, ACCESS), None, "{when}");
        assert_eq!(secret(&test_home, REFRESH), None, "{when}");
        assert_eq!(secret(&test_home, HUB).as_deref(), Some("declared"), "{when}");
        restart(&test_home);
    }
    assert_eq!(logins_file(&test_home), "");
}

#[test]
fn the_tokens_of_a_web_login_stay_in_their_codespace() {
    let mut test_home = TestHome::new();
    test_home.declare("HUB", "docker.io", ("hubber", "declared"));
    test_home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    test_home.set("CODESPACE_NAME", "one");
    test_home.start();
    log_in(&test_home);
    test_home.set("CODESPACE_NAME", "two");
    test_home.sync();
    for server in [ACCESS, REFRESH] {
        assert_eq!(secret(&test_home, server), None, "{server}");
    }
    succeed(&mut test_home.agent(&["stop"]));
    assert_eq!(logins_file(&test_home), "");
}

#[test]
fn an_expired_access_token_still_comes_back_for_docker_to_erase() {
    let test_home = home_with_docker_hub();
    let expired = jwt(&json!({ "exp": 1_700_000_000 }));
    store(&test_home, (ACCESS, "webber", &expired));
    assert_eq!(secret(&test_home, ACCESS), Some(expired.clone()));
    restart(&test_home);
    assert_eq!(secret(&test_home, ACCESS), Some(expired));
}

#[test]
fn a_plain_login_to_docker_hub_is_never_returned_as_a_token() {
    let test_home = TestHome::new();
    fs::create_dir_all(test_home.path(".docker")).unwrap();
    // `plain-user:plain-pass`
    let auths = json!({ "auths": { HUB: { "auth": "cGxhaW4tdXNlcjpwbGFpbi1wYXNz" } } });
    fs::write(test_home.path(".docker/config.json"), auths.to_string()).unwrap();
    test_home.start();
    assert_eq!(secret(&test_home, HUB).as_deref(), Some("plain-pass"));
    for server in [ACCESS, REFRESH] {
        assert_eq!(secret(&test_home, server), None, "{server}");
    }
}

/// A JWT with these claims and no valid signature, which docker does not check.
fn jwt(claims: &Value) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    format!("{header}.{}.{}", encode(&claims.to_string()), encode("signature"))
}

fn access_token() -> String {
    let user = json!({ "username": "webber", "uuid": "1", "email": "w@example.com" });
    jwt(&json!({ "exp": 4_000_000_000_u64, "https://hub.docker.com": user }))
}

/// Docker's hosts. Docker Hub accepts `webber` with the token that the web login makes.
fn docker_hosts(heard: &ReceivedRequest) -> Vec<u8> {
    let answer = |status, body: Value| scripted_registry::json(status, &[], &body.to_string());
    let login = BASE64_URL_SAFE_NO_PAD.encode(format!("webber:{PERSONAL_TOKEN}"));
    let (path, _) = heard.line.split_once('?').unwrap_or((&heard.line, ""));
    match path {
        "POST https://login.docker.com/oauth/device/code" => answer(
            200,
            json!({ "device_code": "device", "user_code": "CODE", "expires_in": 900, "interval": 1,
                    "verification_uri_complete": "https://login.docker.com/activate" }),
        ),
        "POST https://login.docker.com/oauth/token" => answer(
            200,
            json!({ "access_token": access_token(), "refresh_token": "refresh", "expires_in": 9,
                    "id_token": access_token(), "token_type": "Bearer" }),
        ),
        "POST https://hub.docker.com/v2/access-tokens/desktop-generate" => {
            answer(201, json!({ "data": { "token": PERSONAL_TOKEN } }))
        }
        "GET https://auth.docker.io/token"
            if heard.header("authorization").is_some_and(|it| it.contains(&login)) =>
        {
            answer(200, json!({ "token": "bearer" }))
        }
        "GET https://registry-1.docker.io/v2/"
            if heard.header("authorization") == Some("Bearer bearer") =>
        {
            answer(200, json!({}))
        }
        "GET https://registry-1.docker.io/v2/" => scripted_registry::json(
            401,
            &[
                "WWW-Authenticate: Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\"",
            ],
            "{}",
        ),
        "POST https://login.docker.com/oauth/revoke" => answer(200, json!({})),
        _ => answer(401, json!({ "details": "incorrect username or password" })),
    }
}

/// The part of the engine that `docker login` uses.
fn engine(heard: &ReceivedRequest) -> ScriptedResponse {
    let version = &["Api-Version: 1.45"];
    if heard.line.starts_with("HEAD") {
        scripted_registry::reply(200, version, "").into()
    } else if heard.body.contains(PERSONAL_TOKEN) {
        scripted_registry::json(200, version, r#"{"Status":"Login Succeeded"}"#).into()
    } else {
        scripted_registry::json(401, version, r#"{"message":"incorrect password"}"#).into()
    }
}

/// Runs docker on a terminal, which its web login requires.
fn docker(test_home: &TestHome, command: &str) -> Output {
    let mut docker = test_home.command("script");
    docker.args(["-qec", &format!("docker {command}"), "/dev/null"]);
    docker.env("DOCKER_HOST", "tcp://127.0.0.1:2375").output().unwrap()
}

#[test]
fn docker_logs_in_on_the_web_and_out_again_while_docker_hub_is_declared() {
    let authority = Authority::new("The world's authority");
    let hosts = ["login.docker.com", "hub.docker.com", "registry-1.docker.io", "auth.docker.io"];
    let acceptor = authority.sign(&hosts).acceptor();
    let etc =
        Etc { hosts: &hosts.map(|host| (host, "127.0.0.1")), roots: &authority.pem(), files: &[] };
    isolated::run(&etc, async || {
        let world = ScriptedRegistry::start("127.0.0.1:443", Some(acceptor), docker_hosts).await;
        let _engine = ScriptedRegistry::start("127.0.0.1:2375", None, engine).await;
        // The namespaces belong to this thread, which those that it starts inherit.
        tokio::task::spawn_blocking(log_in_and_out).await.unwrap();
        let revoked = |heard: &ReceivedRequest| {
            heard.line.ends_with("/oauth/revoke") && heard.body.contains("token=refresh")
        };
        assert!(world.heard().iter().any(revoked), "{:?}", world.lines());
    });
}

fn log_in_and_out() {
    let mut test_home = TestHome::new();
    test_home.declare("HUB", "docker.io", ("hubber", "declared"));
    test_home.start();
    assert_eq!(test_home.login("HUB")["state"], "rejected");

    let login = docker(&test_home, "login");
    let message = output_text(&login);
    assert!(login.status.success() && message.contains("Login Succeeded"), "{message}");
    assert_eq!(test_home.asked(), [format!("get {HUB}").as_str(), "store", "store", "store"]);
    assert_eq!(test_home.login(HUB)["state"], "ready");
    assert_eq!(secret(&test_home, HUB).as_deref(), Some(PERSONAL_TOKEN));
    assert_eq!(secret(&test_home, ACCESS), Some(access_token()));
    let refresh = secret(&test_home, REFRESH).unwrap();
    assert!(refresh.starts_with("refresh.."), "{refresh}");

    let logout = docker(&test_home, "logout");
    let message = output_text(&logout);
    assert!(logout.status.success() && !message.contains("WARNING"), "{message}");
    let asked = test_home.asked();
    assert_eq!(asked[0], format!("get {REFRESH}"), "{asked:?}");
    for server in [ACCESS, REFRESH, HUB] {
        assert!(asked.contains(&format!("erase {server}")), "{server}: {asked:?}");
    }
    assert_eq!(logins_file(&test_home), "");
}
