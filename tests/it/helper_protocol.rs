//! The docker credential helper protocol: transcripts, run against the built helper.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, credential, output_text, run_with_input, succeed};

const LOGIN: (&str, &str) = ("puller", "p:ass");
const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");
const NOBODY: u32 = 65534;

#[test]
fn the_helper_follows_the_protocol() {
    let table: Vec<Value> =
        serde_json::from_str(include_str!("fixtures/helper_protocol.json")).unwrap();
    let (registry, test_home) = home_with_a_login();
    for row in table {
        let fill = |text: &str| text.replace("{server}", &registry.server());
        let text = |value: &Value| fill(value.as_str().unwrap());
        let output = test_home.helper(&text(&row["verb"]), &text(&row["stdin"]));
        let message = format!("{row}: {}: {}", output.status, output_text(&output));
        assert!(output.stderr.is_empty(), "{message}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        if let Some(answer) = row["answer"].as_array() {
            let [server, user, secret] = [0, 1, 2].map(|index| text(&answer[index]));
            let expected = json!({ "ServerURL": server, "Username": user, "Secret": secret });
            assert_eq!(output.status.code(), Some(0), "{message}");
            assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), expected, "{message}");
            assert_eq!(stdout.find('\n'), Some(stdout.len() - 1), "one line: {message}");
        } else {
            assert_eq!(output.status.code().map(i64::from), row["exit"].as_i64(), "{message}");
            assert_eq!(stdout, text(&row["stdout"]), "{message}");
        }
    }
}

#[test]
fn list_and_version_do_not_read_their_input() {
    let (registry, test_home) = home_with_a_login();
    for verb in ["list", "version"] {
        let mut child = Command::new(HELPER);
        let environment = test_home.command("true");
        let set = environment.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut child = child
            .arg(verb)
            .env_clear()
            .envs(set)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The input stays open until the helper has exited.
        let mut message = String::new();
        child.stdout.take().unwrap().read_to_string(&mut message).unwrap();
        assert!(child.wait().unwrap().success());
        if verb == "list" {
            let listed: Value = serde_json::from_str(&message).unwrap();
            assert_eq!(listed[registry.server()], LOGIN.0, "{listed}");
        }
    }
}

#[test]
fn forty_helpers_at_once_all_get_the_login() {
    let (registry, test_home) = home_with_a_login();
    std::thread::scope(|scope| {
        let askers: Vec<_> =
            (0..40).map(|_| scope.spawn(|| test_home.credential(&registry.server()))).collect();
        for asker in askers {
            assert_eq!(asker.join().unwrap(), login());
        }
    });
}

#[test]
fn a_hanging_agent_counts_as_none() {
    let test_home = TestHome::new();
    write_plain_entry(&test_home);
    let listener = UnixListener::bind(test_home.path("agent.sock")).unwrap();
    std::thread::scope(|scope| {
        // The agent accepts connections, but never responds.
        let held =
            scope.spawn(move || (0..3).map(|_| listener.accept().unwrap().0).collect::<Vec<_>>());
        let ask = |verb: &'static str, input: &'static str| {
            let mut helper = test_home.command("timeout");
            helper.args(["12", HELPER, verb]);
            scope.spawn(move || run_with_input(&mut helper, input))
        };
        let (plain, unknown, list) =
            (ask("get", "plain.test"), ask("get", "unreal.invalid"), ask("list", ""));
        let plain = plain.join().unwrap();
        assert_eq!(credential(&plain), Some(("plain-user".into(), "plain-pass".into())));
        let unknown = unknown.join().unwrap();
        assert_eq!(unknown.stdout, b"credentials not found in native keychain\n");
        let message = only_line(&plain);
        assert!(
            message.contains("the agent did not respond in time, so the login in "),
            "{message}"
        );
        let message = only_line(&unknown);
        assert!(message.contains("the agent did not respond in time; run `"), "{message}");
        let list = list.join().unwrap();
        assert_eq!((list.status.code(), list.stdout.as_slice()), (Some(0), b"{}\n".as_slice()));
        only_line(&list);
        drop(held.join().unwrap());
    });
    fs::remove_file(test_home.path("agent.sock")).unwrap();
}

#[test]
fn why_an_agent_cannot_be_started_is_one_line_on_stderr() {
    let test_home = TestHome::new();
    write_plain_entry(&test_home);
    let config = test_home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "verify = 5\n").unwrap();
    let unknown = test_home.helper("get", "unreal.invalid");
    assert_eq!(unknown.stdout, b"credentials not found in native keychain\n");
    let store = json!({ "ServerURL": "unreal.invalid", "Username": "user", "Secret": "secret" });
    for refused in [unknown, test_home.helper("store", &store.to_string())] {
        assert_eq!(refused.status.code(), Some(1), "{}", output_text(&refused));
        let message = only_line(&refused);
        assert!(message.contains(&format!("{} line 1", config.display())), "{message}");
        assert!(message.contains("run `registry-agent sync`"), "{message}");
    }
    let plain = test_home.helper("get", "plain.test");
    assert_eq!(credential(&plain), Some(("plain-user".into(), "plain-pass".into())));
    let message = only_line(&plain);
    assert!(message.contains(" line 1") && message.contains(", so the login in "), "{message}");
}

#[test]
fn an_agent_of_another_user_is_not_asked_and_one_line_on_stderr_says_so() {
    let test_home = TestHome::new();
    let socket = test_home.path("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    // Anybody may reach the socket and run the helper, but the user of this test is another one.
    fs::set_permissions(test_home.path(""), Permissions::from_mode(0o755)).unwrap();
    let helper = test_home.path("helper");
    fs::copy(HELPER, &helper).unwrap();
    let mut asks = test_home.command(&helper);
    let output = run_with_input(asks.arg("get").uid(NOBODY), "registry.test");
    assert_eq!(output.stdout, b"credentials not found in native keychain\n");
    let message = only_line(&output);
    assert!(
        message.contains(&format!("the agent at {} belongs to uid 0, not", socket.display())),
        "{message}"
    );
    let fix = "; run `unset REGISTRY_AGENT_SOCKET; registry-agent sync` in a shell";
    assert!(message.contains(fix), "{message}");
    listener.set_nonblocking(true).unwrap();
    let mut received = String::new();
    while let Ok((mut client, _)) = listener.accept() {
        client.read_to_string(&mut received).unwrap();
    }
    assert!(!received.contains("registry.test"), "{received}");
}

/// Listens on a socket that everyone may reach, and writes what it receives to a file.
const FALSE_AGENT: &str = r#"
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
os.umask(0)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
while True:
    client, _ = listener.accept()
    client.settimeout(1)
    try:
        received = client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    except OSError:
        continue
    with open(sys.argv[2], "ab") as file:
        file.write(received)
"#;

#[test]
fn root_sends_nothing_to_an_agent_of_another_user() {
    let mut test_home = TestHome::new();
    fs::set_permissions(test_home.path(""), Permissions::from_mode(0o755)).unwrap();
    let theirs = test_home.path("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    let (socket, record) = (theirs.join("agent.sock"), theirs.join("received"));
    let mut false_agent = Command::new("python3");
    false_agent.args(["-c", FALSE_AGENT]).args([&socket, &record]).uid(NOBODY);
    let mut false_agent = false_agent.stdout(Stdio::piped()).spawn().unwrap();
    false_agent.stdout.take().unwrap().read_exact(&mut [0; 7]).unwrap();

    test_home.set("REGISTRY_AGENT_SOCKET", socket.to_str().unwrap());
    test_home.declare("ACME", "registry.test", ("user", "planted"));
    let login = json!({ "ServerURL": "registry.test", "Username": "user", "Secret": "planted" });
    let as_agent = |arguments: &[&str]| test_home.with_declared(test_home.agent(arguments));
    let as_helper = |verb: &str, input: &str| {
        let mut helper = test_home.with_declared(test_home.command(HELPER));
        run_with_input(helper.arg(verb), input)
    };
    let outputs = [
        as_agent(&["sync"]).output().unwrap(),
        as_agent(&["refresh"]).output().unwrap(),
        as_agent(&["start"]).output().unwrap(),
        as_helper("get", "registry.test"),
        as_helper("store", &login.to_string()),
    ];
    for output in outputs {
        let text = output_text(&output);
        // By its name, if the machine has one for the user ID.
        let is_named =
            ["uid 65534", "nobody"].iter().any(|it| text.contains(&format!("belongs to {it}")));
        assert!(!output.status.success() && is_named, "{text}");
    }
    as_helper("erase", "registry.test");
    as_helper("list", "");
    false_agent.kill().unwrap();
    false_agent.wait().unwrap();
    let received = fs::read(record).unwrap_or_default();
    let received = String::from_utf8_lossy(&received);
    assert!(!received.contains("planted") && !received.contains("registry.test"), "{received}");
}

/// The only line on standard error.
fn only_line(output: &Output) -> String {
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(message.lines().count() == 1 && message.ends_with('\n'), "{}", output_text(output));
    message
}

#[test]
fn the_helper_starts_an_agent_with_its_environment_but_not_after_a_stop() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), LOGIN);
    assert_eq!(credential(&ask_with_declared(&test_home, &registry.server())), login());
    // The agent also serves clients whose environment declares nothing.
    assert_eq!(test_home.credential(&registry.server()), login());
    assert_eq!(test_home.login("ACME")["state"], "ready");

    succeed(&mut test_home.agent(&["stop"]));
    let refused = ask_with_declared(&test_home, &registry.server());
    assert_eq!(refused.stdout, b"credentials not found in native keychain\n");
    assert_eq!(test_home.exit_of(&["status"]), 4, "the helper started what was stopped");
    test_home.start_agent();
    assert_eq!(test_home.credential(&registry.server()), login());
}

fn home_with_a_login() -> (Registry, TestHome) {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), LOGIN);
    test_home.declare("HUB", "docker.io", ("hubber", "hub-pass"));
    // The proxy does not exist, so Docker Hub is unreachable and its login is served.
    test_home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    write_plain_entry(&test_home);
    test_home.start();
    test_home.exit_of(&["wait"]);
    (registry, test_home)
}

fn write_plain_entry(test_home: &TestHome) {
    fs::create_dir_all(test_home.path(".docker")).unwrap();
    // `plain-user:plain-pass`
    let config = r#"{"auths": {"plain.test": {"auth": "cGxhaW4tdXNlcjpwbGFpbi1wYXNz"}}}"#;
    fs::write(test_home.path(".docker/config.json"), config).unwrap();
}

fn ask_with_declared(test_home: &TestHome, server: &str) -> Output {
    let mut helper = test_home.command(HELPER);
    helper.arg("get");
    run_with_input(&mut test_home.with_declared(helper), server)
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with an `Option`")]
fn login() -> Option<(String, String)> {
    Some((LOGIN.0.to_owned(), LOGIN.1.to_owned()))
}
