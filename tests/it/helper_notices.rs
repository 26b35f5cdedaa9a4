//! The line on standard error with which the helper says why a credential is withheld or why the
//! docker configuration serves instead of the agent.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Output;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

use crate::support::test_home::{TestHome, credential, output_text, run_with_input, succeed};

const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");
const NOT_FOUND: &str = "credentials not found in native keychain\n";
/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";

/// The only line on standard error of a `get` that found nothing.
fn notice(output: &Output) -> String {
    let message = output_text(output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), NOT_FOUND, "{message}");
    assert_eq!(output.status.code(), Some(1), "{message}");
    only_line(output)
}

fn only_line(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(line.lines().count() == 1 && line.ends_with('\n'), "{}", output_text(output));
    assert!(line.starts_with("registry-agent: "), "{line}");
    line
}

fn says_nothing(output: &Output) {
    assert!(output.stderr.is_empty(), "{}", output_text(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), NOT_FOUND);
}

fn write_docker_config(test_home: &TestHome, config: &str) {
    fs::create_dir_all(test_home.path(".docker")).unwrap();
    fs::write(test_home.path(".docker/config.json"), config).unwrap();
}

/// `plain-user:plain-pass` for `plain.test`.
const PLAIN: &str = r#"{"auths": {"plain.test": {"auth": "cGxhaW4tdXNlcjpwbGFpbi1wYXNz"}}}"#;

/// Answers every request on the agent's socket with `response` while `clients` runs.
fn with_agent_that_says(test_home: &TestHome, response: &str, clients: impl FnOnce()) {
    let socket = test_home.path("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap();
                if request[..length].starts_with(b"END") {
                    return;
                }
                // The client may have gone away.
                let _ = stream.write_all(response.as_bytes());
            }
        });
        clients();
        let mut end = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        end.write_all(b"END").unwrap();
    });
    fs::remove_file(socket).unwrap();
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_response_that_no_agent_of_this_version_sends_is_named_and_never_printed() {
    let other_version = json!({ "server": SERVER, "user": "u", "password": "canary" });
    let other_types = json!({ "ServerURL": SERVER, "Username": 5, "Secret": "canary" });
    let half = format!("{{\"ServerURL\":\"{SERVER}\",\"Username\":\"u\",\"Secret\":\"canary");
    let forbidden = json!({ "title": "forbidden", "status": 403, "detail": "uid 7 may not\nask",
                            "hint": "send the request as the agent's user" });
    let not_json = "the agent's response is not understood (not the expected JSON)";
    let cases = [
        (response("200 OK", "{}"), not_json),
        (response("200 OK", &other_version.to_string()), not_json),
        (response("200 OK", &other_types.to_string()), not_json),
        (response("200 OK", &half), not_json),
        (
            format!("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{half}"),
            "the connection to the agent failed: ",
        ),
        (
            response("500 Oops", "canary"),
            "the agent's response is not understood (HTTP status 500)",
        ),
        ("canary, not HTTP\r\n\r\n".to_owned(), "the agent's response is not understood ("),
        (
            response("403 Forbidden", &forbidden.to_string()),
            "uid 7 may not ask; send the request as",
        ),
    ];
    let test_home = TestHome::new();
    write_docker_config(&test_home, PLAIN);
    for (response, named) in cases {
        with_agent_that_says(&test_home, &response, || {
            let output = test_home.helper("get", SERVER);
            let line = notice(&output);
            assert!(line.contains(named), "{response}: {line}");
            assert!(!line.contains("canary"), "{response}: {line}");

            let plain = test_home.helper("get", "plain.test");
            assert_eq!(credential(&plain), Some(("plain-user".into(), "plain-pass".into())));
            let config = test_home.path(".docker/config.json");
            let line = only_line(&plain);
            assert!(
                line.contains(&format!("so the login in {} is used; ", config.display())),
                "{line}"
            );

            let list = test_home.helper("list", "");
            assert_eq!((list.status.code(), list.stdout.as_slice()), (Some(0), b"{}\n".as_slice()));
            only_line(&list);
        });
    }
}

#[test]
fn a_stopped_agent_is_named_for_what_it_published_and_its_fix_works() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", SERVER, ("user", "password"));
    test_home.start();
    assert!(test_home.credential(SERVER).is_some());
    succeed(&mut test_home.agent(&["stop"]));

    let line = notice(&test_home.helper("get", SERVER));
    assert_eq!(
        line,
        "registry-agent: the agent is stopped; run `registry-agent sync` in a shell that has the variables\n"
    );
    says_nothing(&test_home.helper("get", "public.test"));
    let login = json!({ "ServerURL": SERVER, "Username": "own", "Secret": "s" }).to_string();
    for (verb, input) in [("store", login.as_str()), ("erase", SERVER)] {
        let refused = test_home.helper(verb, input);
        assert_eq!(refused.status.code(), Some(1), "{}", output_text(&refused));
        assert_eq!(refused.stdout, b"the agent is stopped\n");
        assert!(only_line(&refused).contains("; run `registry-agent sync` in a shell"));
    }
    let list = test_home.helper("list", "");
    assert!(list.stderr.is_empty() && list.stdout == b"{}\n", "{}", output_text(&list));

    let pasted = line.split('`').nth(1).unwrap();
    succeed(test_home.with_declared(test_home.command("sh")).args(["-c", pasted]));
    let served = test_home.helper("get", SERVER);
    assert!(served.status.success() && served.stderr.is_empty(), "{}", output_text(&served));
}

#[test]
fn a_helper_that_had_to_start_an_agent_says_so_unless_it_gets_the_login() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", SERVER, ("user", "password"));
    write_docker_config(&test_home, PLAIN);
    let line = notice(&test_home.helper("get", SERVER));
    assert!(line.contains("no agent was running; one was started, but it does not know"), "{line}");
    assert!(line.contains(SERVER), "{line}");
    says_nothing(&test_home.helper("get", SERVER));

    succeed(&mut test_home.agent(&["stop"]));
    fs::remove_file(test_home.path("agent.sock.lock/stopped")).unwrap();
    let plain = test_home.helper("get", "plain.test");
    assert_eq!(credential(&plain), Some(("plain-user".into(), "plain-pass".into())));
    assert!(only_line(&plain).contains("no agent was running"), "{}", output_text(&plain));

    succeed(&mut test_home.agent(&["stop"]));
    fs::remove_file(test_home.path("agent.sock.lock/stopped")).unwrap();
    let mut helper = test_home.with_declared(test_home.command(HELPER));
    let served = run_with_input(helper.arg("get"), SERVER);
    assert!(served.status.success() && served.stderr.is_empty(), "{}", output_text(&served));

    // The fix works as pasted.
    succeed(&mut test_home.agent(&["stop"]));
    fs::remove_file(test_home.path("agent.sock.lock/stopped")).unwrap();
    let line = notice(&test_home.helper("get", SERVER));
    let pasted = line.split('`').nth(1).unwrap();
    succeed(test_home.with_declared(test_home.command("sh")).args(["-c", pasted]));
    assert!(test_home.credential(SERVER).is_some());
}

#[test]
fn an_incomplete_set_is_named_by_its_missing_variable() {
    let mut test_home = TestHome::new();
    test_home.set("ACME_CONTAINER_REGISTRY_SERVER", "plain.test");
    test_home.set("ACME_CONTAINER_REGISTRY_USER", "user");
    test_home.set("BETA_CONTAINER_REGISTRY_SERVER", SERVER);
    test_home.set("BETA_CONTAINER_REGISTRY_USER", "us:er");
    test_home.set("BETA_CONTAINER_REGISTRY_PASSWORD", "password");
    test_home.start();
    let line = notice(&test_home.helper("get", "https://plain.test"));
    let missing = "ACME_CONTAINER_REGISTRY_PASSWORD is not set";
    assert!(line.starts_with(&format!("registry-agent: {missing}")), "{line}");
    assert!(line.ends_with("; run `registry-agent check ACME`\n"), "{line}");
    let line = notice(&test_home.helper("get", SERVER));
    assert!(line.contains("BETA_CONTAINER_REGISTRY_USER "), "{line}");
    says_nothing(&test_home.helper("get", "public.test"));

    write_docker_config(&test_home, PLAIN);
    let plain = test_home.helper("get", "plain.test");
    assert_eq!(credential(&plain), Some(("plain-user".into(), "plain-pass".into())));
    assert!(only_line(&plain).contains(missing), "{}", output_text(&plain));
}

#[test]
fn a_docker_configuration_that_cannot_be_used_is_named_and_keeps_nobody_waiting() {
    let test_home = TestHome::new();
    test_home.start();
    let at = |name: &str| {
        let dir = test_home.path(name);
        fs::create_dir(&dir).unwrap();
        dir.join("config.json")
    };
    let write = |name: &str, bytes: &[u8]| fs::write(at(name), bytes).unwrap();
    mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
    symlink("/dev/zero", at("device")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    symlink("config.json", at("loop")).unwrap();
    File::create(at("large")).unwrap().set_len((64 << 20) + 1).unwrap();
    write("malformed", b"{\"auths\": {\"canary\"");
    write("entries", b"{\"auths\": \"canary\"}");
    write("latin", b"{\"auths\": {\"caf\xe9\": {}}}");
    for (name, named) in [
        ("pipe", "is not a regular file; move it away with `mv -i "),
        ("device", "is not a regular file; move it away with `mv -i "),
        ("directory", "is not a regular file; move it away with `mv -i "),
        ("loop", "is not a regular file; move it away with `mv -i "),
        ("large", "is larger than 64 MiB; reduce "),
        ("malformed", "is not valid JSON (line 1, column "),
        ("entries", "is not a JSON object; change `auths`"),
        ("latin", "is not UTF-8 (byte "),
    ] {
        let line = notice(&get_with(&test_home, &test_home.path(name)));
        let path = test_home.path(name).join("config.json");
        assert!(line.contains(named) && line.contains(&path.display().to_string()), "{line}");
        assert!(!line.contains("canary"), "{line}");
    }
    fs::create_dir(test_home.path("none")).unwrap();
    write("empty", b" \n");
    says_nothing(&get_with(&test_home, &test_home.path("none")));
    says_nothing(&get_with(&test_home, &test_home.path("empty")));
}

/// `get` with this `DOCKER_CONFIG`, of a server that nobody declared.
fn get_with(test_home: &TestHome, docker_config: &Path) -> Output {
    let mut helper = test_home.command(HELPER);
    run_with_input(helper.arg("get").env("DOCKER_CONFIG", docker_config), "public.test")
}

/// Runs the helper as root by the `sudo` of `nobody`.
fn by_sudo(test_home: &TestHome, verb: &str, input: &str) -> Output {
    let mut helper = test_home.command(HELPER);
    helper.arg(verb).env("SUDO_UID", "65534").env("SUDO_USER", "nobody");
    run_with_input(&mut helper, input)
}

#[test]
fn sudo_docker_starts_no_agent_of_root_and_is_told_what_to_do() {
    let test_home = TestHome::new();
    let config = json!({ "credHelpers": { SERVER: "registry-agent" } });
    write_docker_config(&test_home, &config.to_string());
    let line = notice(&by_sudo(&test_home, "get", SERVER));
    assert!(line.contains("root has no agent; run docker as nobody without `sudo`, or "), "{line}");
    says_nothing(&by_sudo(&test_home, "get", "public.test"));
    let login = json!({ "ServerURL": SERVER, "Username": "own", "Secret": "s" }).to_string();
    let refused = by_sudo(&test_home, "store", &login);
    assert_eq!(refused.status.code(), Some(1), "{}", output_text(&refused));
    assert!(only_line(&refused).contains("root has no agent"), "{}", output_text(&refused));
    assert_eq!(test_home.exit_of(&["status"]), 4, "an agent was started");
    // An agent that root has serves as without `sudo`.
    test_home.start();
    let stored = by_sudo(&test_home, "store", &login);
    assert!(stored.status.success() && stored.stderr.is_empty(), "{}", output_text(&stored));
    assert!(by_sudo(&test_home, "get", SERVER).status.success());
}
