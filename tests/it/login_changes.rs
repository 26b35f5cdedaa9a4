//! Changes of a login while the agent runs: late verdicts, incomplete pushes, the user's own logins.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use registry_agent::adapters::clock::pause;
use serde_json::{Value, json};

use crate::support::aws::{Answer, FakeAws};
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, succeed};

const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
/// The registry of another account in the same region, which shares the token.
const OTHER_ECR: &str = "444455556666.dkr.ecr.eu-west-1.amazonaws.com";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// Nothing listens on this port.
const DOWN: &str = "127.0.0.1:9";

/// A registry that delays its response to one password until the test releases it.
struct SlowRegistry {
    server: String,
    state: Arc<(Mutex<SlowState>, Condvar)>,
}

#[derive(Default)]
struct SlowState {
    asked: bool,
    released: bool,
}

impl SlowRegistry {
    /// Accepts passwords that begin with `good`, and delays the response to the password `slow`.
    fn start(slow: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap().to_string();
        let state: Arc<(Mutex<SlowState>, Condvar)> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(&stream.unwrap(), slow, &shared));
            }
        });
        Self { server, state }
    }

    fn wait_until_asked(&self) {
        let state = self.state.0.lock().unwrap();
        drop(self.state.1.wait_while(state, |state| !state.asked).unwrap());
    }

    fn release(&self) {
        self.state.0.lock().unwrap().released = true;
        self.state.1.notify_all();
    }
}

/// Responds to one request. Anything but HTTP, such as TLS, gets no response.
fn answer(mut stream: &TcpStream, slow: &str, shared: &(Mutex<SlowState>, Condvar)) {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    if !head.first().is_some_and(|line| line.starts_with("GET ")) {
        return;
    }
    let shown = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": Basic ")?;
        let pair = STANDARD.decode(value.trim()).ok()?;
        let pair = String::from_utf8(pair).ok()?;
        name.eq_ignore_ascii_case("authorization")
            .then(|| pair.split_once(':').unwrap().1.to_owned())
    });
    if shown.as_deref() == Some(slow) {
        let mut state = shared.0.lock().unwrap();
        state.asked = true;
        shared.1.notify_all();
        drop(shared.1.wait_while(state, |state| !state.released).unwrap());
    }
    let status = if shown.is_some_and(|it| it.starts_with("good")) { "200 OK" } else { "401 No" };
    let challenge = "WWW-Authenticate: Basic realm=\"r\"\r\nContent-Type: application/json";
    // The agent may have given up and disconnected.
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nDocker-Distribution-Api-Version: registry/2.0\r\n{challenge}\r\n\
         Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
}

#[test]
fn a_late_verdict_on_an_old_password_does_not_apply_to_the_new_one() {
    for (old, new, state) in [("bad-old", "good-new", "ready"), ("good-old", "bad-new", "rejected")]
    {
        let registry = SlowRegistry::start(old);
        let mut test_home = TestHome::new();
        test_home.declare("ACME", &registry.server, ("me", old));
        test_home.declare("OTHER", DOWN, ("me", "p"));
        test_home.sync();
        registry.wait_until_asked();
        undeclare(&mut test_home, "ACME");
        assert_eq!(test_home.sync(), "removed ACME");
        test_home.declare("ACME", &registry.server, ("me", new));
        assert_eq!(test_home.sync(), "added ACME");
        assert_eq!(test_home.login("ACME")["state"], state);
        registry.release();
        for _ in 0..10 {
            pause(Duration::from_millis(50));
            assert_eq!(test_home.login("ACME")["state"], state, "judged by {old}");
        }
        let served = (state == "ready").then(|| ("me".to_owned(), new.to_owned()));
        assert_eq!(test_home.credential(&registry.server), served);
    }
}

#[test]
fn an_incomplete_set_in_a_push_keeps_the_login_and_names_what_is_missing() {
    let registry = Registry::start(&Auth::Htpasswd(&[("me", "secret")]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), ("me", "secret"));
    assert_eq!(test_home.sync(), "added ACME");
    test_home.unset("ACME_CONTAINER_REGISTRY_PASSWORD");
    test_home.declare("OTHER", DOWN, ("me", "p"));
    let sync = test_home.with_declared(test_home.agent(&["sync"])).output().unwrap();
    let message = output_text(&sync);
    assert_eq!(sync.status.code(), Some(1), "{message}");
    assert!(message.contains("added OTHER") && !message.contains("removed"), "{message}");
    assert!(message.contains("ACME_CONTAINER_REGISTRY_PASSWORD"), "{message}");
    let served = Some(("me".to_owned(), "secret".to_owned()));
    assert_eq!(test_home.credential(&registry.server()), served);

    let pid = test_home.status()["pid"].to_string();
    succeed(std::process::Command::new("kill").args(["-9", &pid]));
    assert_eq!(test_home.credential(&registry.server()), served, "lost with the agent");

    undeclare(&mut test_home, "ACME");
    assert_eq!(test_home.sync(), "removed ACME", "a set that is gone is removed");
}

#[test]
fn a_set_that_becomes_invalid_is_removed_without_a_false_reason_and_never_kept() {
    let registry = Registry::start(&Auth::Htpasswd(&[("me", "secret")]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), ("me", "secret"));
    assert_eq!(test_home.sync(), "added ACME");
    let sync = |test_home: &TestHome| {
        let sync = test_home.with_declared(test_home.agent(&["sync"])).output().unwrap();
        assert_eq!(sync.status.code(), Some(1));
        output_text(&sync)
    };
    test_home.set("ACME_CONTAINER_REGISTRY_USER", "m:e");
    let text = sync(&test_home);
    assert!(text.contains("removed ACME") && text.contains("a colon"), "{text}");
    assert!(!text.contains("is not set in this shell"), "{text}");
    test_home.set("ACME_CONTAINER_REGISTRY_USER", "");
    let text = sync(&test_home);
    assert!(text.contains("ACME_CONTAINER_REGISTRY_USER is not set"), "{text}");
    assert!(!text.contains("previous values") && !text.contains("a colon"), "{text}");
    assert_eq!(test_home.exit_of(&["status"]), 3);
    test_home.set("ACME_CONTAINER_REGISTRY_USER", "me");
    assert_eq!(test_home.sync(), "added ACME");
}

#[test]
fn a_name_finds_its_server_while_a_docker_login_overrides_it() {
    let users = [("me", "secret"), ("own", "mine")];
    let registry = Registry::start(&Auth::Htpasswd(&users), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), ("me", "secret"));
    test_home.start_agent();
    store(&test_home, &registry.server(), ("own", "mine"));
    for command in [["wait", "ACME"], ["check", "ACME"], ["refresh", "ACME"]] {
        let output = test_home.agent(&command).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", output_text(&output));
    }
    let login = test_home.login(&registry.server());
    assert_eq!((&login["name"], &login["covers"]), (&Value::Null, &json!("ACME")));
    assert_eq!(login["user"], "own");
}

#[test]
fn list_shows_the_key_that_a_login_was_stored_under() {
    let test_home = TestHome::new();
    test_home.start();
    let key = format!("https://{DOWN}/v1/");
    store(&test_home, &key, ("own", "mine"));
    let listed: Value = serde_json::from_slice(&test_home.helper("list", "").stdout).unwrap();
    assert_eq!(listed, json!({ (key.clone()): "own" }));
    assert!(test_home.helper("erase", &key).status.success());
    let listed: Value = serde_json::from_slice(&test_home.helper("list", "").stdout).unwrap();
    assert_eq!(listed, json!({}));
}

#[test]
fn a_token_served_before_a_refresh_is_not_stored_as_a_login_of_the_user() {
    let aws = FakeAws::start();
    aws.add_key(KEY, "secret", None);
    let test_home = ecr_home(&aws);
    let old = test_home.credential(ECR).unwrap();
    succeed(&mut test_home.agent(&["refresh", "WORK"]));
    let new = test_home.credential(ECR).unwrap();
    assert_ne!(old, new);
    store(&test_home, ECR, (&old.0, &old.1));
    assert_eq!(test_home.credential(ECR), Some(new.clone()), "docker's store came too late");

    let pid = test_home.status()["pid"].to_string();
    succeed(std::process::Command::new("kill").args(["-9", &pid]));
    store(&test_home, ECR, (&old.0, &old.1));
    assert_eq!(test_home.credential(ECR), Some(new), "the next agent took the old token");
    store(&test_home, ECR, ("AWS", "another"));
    assert_eq!(test_home.login(ECR)["name"], Value::Null, "a login of the user's own is kept");
}

#[test]
fn a_get_with_an_expired_token_retries_before_the_retry_after_ends() {
    let aws = FakeAws::start();
    aws.state().token_life = SignedDuration::from_secs(4);
    aws.add_key(KEY, "secret", None);
    let test_home = ecr_home(&aws);
    aws.answer("ecr", Answer::Throttle { retry_after: 86_400 });
    let mut polls = (0..600).map(|_| pause(Duration::from_millis(50)));
    assert!(polls.any(|()| test_home.credential(ECR).is_none()), "the token does not expire");
    aws.answer("ecr", Answer::Grant);
    assert!(polls.any(|()| test_home.credential(ECR).is_some()), "no get brings the retry forward");
    assert_eq!(aws.state().registry_refusals, 0);
}

#[test]
fn an_expired_token_is_retried_at_most_twice_a_minute_however_often_clients_ask() {
    let aws = FakeAws::start();
    aws.add_key(KEY, "secret", None);
    aws.answer("ecr", Answer::Throttle { retry_after: 86_400 });
    let test_home = ecr_home(&aws);
    test_home.exit_of(&["wait"]);
    let calls = aws.calls_of("ecr");
    for _ in 0..20 {
        assert_eq!(test_home.credential(ECR), None);
    }
    assert!(aws.calls_of("ecr") <= 2 * calls, "{} calls after {calls}", aws.calls_of("ecr"));
}

#[test]
fn a_token_that_the_registry_accepts_is_served_past_its_stated_expiry() {
    let now = std::process::Command::new("date").arg("+%s").output().unwrap().stdout;
    let now: i64 = String::from_utf8(now).unwrap().trim().parse().unwrap();
    for end in [now - 3600, now + 3] {
        // It is short, because bcrypt compares only the first 72 bytes.
        let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(json!({ "exp": end }).to_string()));
        let registry = Registry::start(&Auth::Htpasswd(&[("me", &token)]), None);
        let mut test_home = TestHome::new();
        test_home.declare("ACME", &registry.server(), ("me", &token));
        test_home.start_agent();
        let mut polls = (0..100).map(|_| pause(Duration::from_millis(100)));
        let past = |login: &Value| {
            let at =
                login["verified_at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
            at.is_some_and(|at| at.as_second() >= end)
        };
        assert!(polls.any(|()| past(&test_home.login("ACME"))), "not asked again at its end");
        assert_eq!(test_home.login("ACME")["state"], "ready");
        assert_eq!(test_home.problems("ACME"), []);
        let served = Some(("me".to_owned(), token.clone()));
        assert_eq!(test_home.credential(&registry.server()), served);
    }
}

#[test]
fn a_login_that_shares_the_identity_of_a_rejected_one_is_tried_at_once() {
    let aws = FakeAws::start();
    let mut test_home = ecr_home(&aws);
    // After a few quick tries a rejected identity is due only every 15 minutes.
    for _ in 0..5 {
        let _ = test_home.agent(&["refresh"]).output().unwrap();
    }
    assert_eq!(test_home.login("WORK")["state"], "rejected");
    aws.add_key(KEY, "secret", None);
    test_home.declare("OTHER", OTHER_ECR, (KEY, "secret"));
    test_home.sync();
    assert_eq!(test_home.login("OTHER")["state"], "unverified");
    assert!(test_home.credential(OTHER_ECR).is_some());
}

#[test]
fn a_restarted_agent_does_not_call_a_known_login_new() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", DOWN, ("me", "secret"));
    test_home.start();
    let events = || output_text(&succeed(&mut test_home.agent(&["events"])));
    assert!(events().contains("was added"), "{}", events());
    let pid = test_home.status()["pid"].to_string();
    succeed(std::process::Command::new("kill").args(["-KILL", &pid]));
    assert_eq!(test_home.credential(DOWN), Some(("me".to_owned(), "secret".to_owned())));
    assert_ne!(test_home.status()["pid"].to_string(), pid);
    assert_eq!(events().matches("was added").count(), 1, "{}", events());
}

/// A home with one ECR login. Verification is off, because the registry's name is a real one.
fn ecr_home(aws: &FakeAws) -> TestHome {
    let mut test_home = TestHome::new();
    let directory = test_home.path(".config/registry-agent");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.toml"), "verify = false\n").unwrap();
    test_home.set("AWS_EC2_METADATA_DISABLED", "true");
    for (name, value) in aws.variables() {
        test_home.set(&name, &value);
    }
    test_home.declare("WORK", ECR, (KEY, "secret"));
    test_home.start();
    test_home
}

fn undeclare(test_home: &mut TestHome, name: &str) {
    for suffix in ["SERVER", "USER", "PASSWORD"] {
        test_home.unset(&format!("{name}_CONTAINER_REGISTRY_{suffix}"));
    }
}

fn store(test_home: &TestHome, server: &str, (user, secret): (&str, &str)) {
    let login = json!({ "ServerURL": server, "Username": user, "Secret": secret }).to_string();
    let stored = test_home.helper("store", &login);
    assert!(stored.status.success() && stored.stdout.is_empty(), "{}", output_text(&stored));
}
