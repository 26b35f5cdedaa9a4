//! Variables for AWS, proxies, TLS and docker that change while the agent runs: each takes effect
//! without a restart.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use registry_agent::adapters::clock;
use serde_json::Value;

use crate::support::authority::Authority;
use crate::support::aws::{Answer, FakeAws};
use crate::support::processes::{children_of, only_pair};
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, succeed};

const USER: &str = "puller";
const PASSWORD: &str = "secret";
const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
const OTHER_ECR: &str = "111122223333.dkr.ecr.eu-west-2.amazonaws.com";

#[test]
fn a_changed_variable_keeps_the_agent_its_events_and_its_verdicts() {
    let registry = Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), (USER, PASSWORD));
    test_home.sync();
    let before = (test_home.login("ACME"), test_home.status()["pid"].clone());
    let events = events(&test_home);
    for (variable, value) in [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_PROFILE", "staging"),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("no_proxy", "127.0.0.1"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("AWS_REGION", "eu-central-1"),
    ] {
        test_home.set(variable, value);
        assert_eq!(test_home.sync(), format!("changed {variable}"));
        assert_eq!(test_home.status()["pid"], before.1, "{variable} restarted the agent");
        assert_eq!(test_home.login("ACME"), before.0, "{variable}");
    }
    assert!(self::events(&test_home).starts_with(&events), "events were forgotten");
}

#[test]
fn another_aws_profile_is_another_identity_and_declared_keys_are_left_alone() {
    let aws = FakeAws::start();
    let keys = ["AKIAFIRSTPROFILE0000", "AKIASECONDPROFILE000", "AKIADECLAREDKEY00000"];
    for key in keys {
        aws.add_key(key, PASSWORD, None);
    }
    let mut test_home = unverified_home();
    let profiles: String = [("one", keys[0]), ("two", keys[1])]
        .map(|(name, key)| {
            format!("[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {PASSWORD}\n")
        })
        .concat();
    fs::create_dir(test_home.path(".aws")).unwrap();
    fs::write(test_home.path(".aws/credentials"), profiles).unwrap();
    test_home.set("FOUND_CONTAINER_REGISTRY_SERVER", ECR);
    test_home.declare("KEYS", OTHER_ECR, (keys[2], PASSWORD));
    set_all(&mut test_home, aws.variables());
    test_home.set("AWS_PROFILE", "one");
    test_home.sync();
    let first = test_home.credential(ECR).expect("a token of the first profile");
    let declared = test_home.credential(OTHER_ECR).expect("a token of the declared keys");
    let pid = test_home.status()["pid"].clone();

    test_home.set("AWS_PROFILE", "two");
    test_home.sync();
    let second = test_home.credential(ECR).expect("a token of the second profile");
    assert_ne!(second, first);
    assert_eq!(test_home.credential(OTHER_ECR), Some(declared));
    let calls = aws.state().calls.clone();
    for (key, region) in keys.iter().zip(["eu-west-1", "eu-west-1", "eu-west-2"]) {
        let call = format!("ecr {region} {key}");
        assert_eq!(calls.iter().filter(|made| **made == call).count(), 1, "{calls:?}");
    }
    assert_eq!(test_home.status()["pid"], pid);
}

#[test]
fn a_new_proxy_is_asked_at_once_for_what_could_not_be_reached() {
    let (proxy, asked) = refusing_proxy();
    let aws = FakeAws::start();
    aws.add_key("AKIADECLAREDKEY00000", PASSWORD, None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "registry.invalid", (USER, PASSWORD));
    test_home.declare("CLOUD", ECR, ("AKIADECLAREDKEY00000", PASSWORD));
    test_home.set("AWS_ENDPOINT_URL_ECR", "https://ecr.invalid");
    test_home.sync();
    let codes = ["ACME", "CLOUD"].map(|name| test_home.login(name)["state"].clone());
    assert_eq!(codes, ["unreachable", "unreachable"]);
    let pid = test_home.status()["pid"].clone();

    test_home.set("HTTPS_PROXY", &proxy);
    test_home.sync();
    let mut missing = vec!["registry.invalid:443", "ecr.invalid:443"];
    while !missing.is_empty() {
        let host = asked.recv_timeout(Duration::from_mins(1)).expect("the proxy was not asked");
        missing.retain(|expected| *expected != host);
    }
    assert_eq!(test_home.status()["pid"], pid);
}

#[test]
fn a_new_certificate_file_is_trusted_at_once_and_gone_when_it_is_unset() {
    let authority = Authority::new("The authority");
    let mut test_home = TestHome::new();
    let tls = authority.sign(&["127.0.0.1"]).write(&test_home.path(""));
    let registry = Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), Some(&tls));
    let certificates = test_home.path("authority.pem");
    fs::write(&certificates, authority.pem()).unwrap();
    test_home.declare("ACME", &registry.server(), (USER, PASSWORD));
    test_home.sync();
    assert_eq!(test_home.login("ACME")["state"], "unreachable");
    let pid = test_home.status()["pid"].clone();

    test_home.set("SSL_CERT_FILE", certificates.to_str().unwrap());
    test_home.sync();
    eventually(|| test_home.login("ACME")["state"] == "ready");
    test_home.unset("SSL_CERT_FILE");
    test_home.sync();
    test_home.exit_of(&["refresh", "ACME"]);
    eventually(|| test_home.login("ACME")["state"] == "unreachable");
    assert_eq!(test_home.status()["pid"], pid);
}

#[test]
fn another_docker_config_is_written_by_the_same_agent() {
    let registry = Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), (USER, PASSWORD));
    test_home.sync();
    let pid = test_home.status()["pid"].clone();
    let elsewhere = test_home.path("elsewhere");
    test_home.set("DOCKER_CONFIG", elsewhere.to_str().unwrap());
    test_home.sync();
    for file in [test_home.path(".docker/config.json"), elsewhere.join("config.json")] {
        let written: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert_eq!(written["credHelpers"][registry.server()], "registry-agent");
    }
    assert_eq!(test_home.status()["pid"], pid);
}

#[test]
fn no_expired_token_is_served_after_an_exchange_was_stopped_for_most_of_its_life() {
    let aws = FakeAws::start();
    aws.state().token_life = SignedDuration::from_secs(10);
    aws.add_key("AKIADECLAREDKEY00000", PASSWORD, None);
    aws.answer("ecr", Answer::Slow(Duration::from_secs(1)));
    let mut test_home = unverified_home();
    test_home.declare("CLOUD", ECR, ("AKIADECLAREDKEY00000", PASSWORD));
    set_all(&mut test_home, aws.variables());
    test_home.start();
    let agent = only_pair(&test_home.lock()).agent.pid;
    eventually(|| aws.calls_of("ecr") == 1);
    let [exchange] = children_of(agent, "exchange")[..] else { panic!("not one exchange") };
    kill(Pid::from_raw(exchange), Signal::SIGSTOP).unwrap();
    clock::pause(Duration::from_secs(8));
    // From here on, AWS issues no other token.
    aws.answer("ecr", Answer::Raw(503, "away"));
    kill(Pid::from_raw(exchange), Signal::SIGCONT).unwrap();

    let client = reqwest::Client::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (begin, mut pulls) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(10) {
        if let Some((user, password)) = test_home.credential(ECR) {
            let pull =
                client.get(format!("http://{}/v2/", aws.host())).basic_auth(user, Some(password));
            let status = runtime.block_on(async { pull.send().await.unwrap().status() });
            assert_eq!(status, 200, "after {:?}", begin.elapsed());
            pulls += 1;
        }
    }
    assert_eq!(aws.state().registry_refusals, 0, "of {pulls} pulls");
}

/// A home without verification, because the registries' names are real ones.
fn unverified_home() -> TestHome {
    let test_home = TestHome::new();
    let directory = test_home.path(".config/registry-agent");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.toml"), "verify = false\n").unwrap();
    test_home
}

fn set_all(test_home: &mut TestHome, variables: Vec<(String, String)>) {
    test_home.set("AWS_EC2_METADATA_DISABLED", "true");
    for (variable, value) in variables {
        test_home.set(&variable, &value);
    }
}

fn events(test_home: &TestHome) -> String {
    String::from_utf8(succeed(&mut test_home.agent(&["events"])).stdout).unwrap()
}

/// A proxy that rejects every CONNECT and reports the requested hosts.
fn refusing_proxy() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
            let _ = sender.send(line.split(' ').nth(1).unwrap_or_default().to_owned());
        }
    });
    (proxy, asked)
}

fn eventually(mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(
            begin.elapsed() < Duration::from_mins(1),
            "the condition is not met within a minute"
        );
        clock::pause(Duration::from_millis(50));
    }
}
