//! The exit status of `status` and `wait`: 3 and 1 if a problem keeps clients from a login, 0 if it
//! is only a remark, whatever the login, the file or the source is called.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text};

const LOGIN: (&str, &str) = ("puller", "secret");
const PASSWORD: &str = "ACME_CONTAINER_REGISTRY_PASSWORD";

/// A home with one login that the registry accepts, after `prepare`.
fn home(registry: &Registry, prepare: impl Fn(&mut TestHome)) -> TestHome {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), LOGIN);
    prepare(&mut test_home);
    test_home.start();
    assert_eq!(test_home.login("ACME")["state"], "ready");
    test_home
}

/// The code, kind and severity of each problem.
fn problems(test_home: &TestHome) -> Vec<[String; 3]> {
    let status = test_home.status();
    let text = |problem: &Value, member: &str| problem[member].as_str().unwrap().to_owned();
    let problems = status["problems"].as_array().unwrap().iter();
    problems.map(|it| ["code", "kind", "severity"].map(|member| text(it, member))).collect()
}

fn exits(test_home: &TestHome) -> [i32; 3] {
    [&["status"][..], &["wait"], &["wait", "ACME"]].map(|command| test_home.exit_of(command))
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_problem_that_keeps_clients_from_a_login_is_an_error_and_others_are_remarks() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let server = registry.server();
    let docker_config =
        |home: &TestHome, text: &str| write(&home.path(".docker/config.json"), text);
    let source = |home: &TestHome, text: &str| {
        let file = home.path("registries.env");
        write(&file, text);
        let config = format!("sources = [{:?}]\n", file.display());
        write(&home.path(".config/registry-agent/config.toml"), &config);
    };
    #[expect(clippy::type_complexity, reason = "a table")]
    let cases: [(&str, &dyn Fn(&mut TestHome), [&str; 3], [i32; 3]); 9] = [
        (
            "a malformed docker configuration",
            &|home| docker_config(home, "{"),
            ["docker-config-malformed", "docker-configuration", "error"],
            [3, 1, 1],
        ),
        (
            "a docker configuration that is a directory",
            &|home| fs::create_dir_all(home.path(".docker/config.json")).unwrap(),
            ["docker-config-not-a-file", "docker-configuration", "error"],
            [3, 1, 1],
        ),
        (
            "an entry for another helper",
            &|home| docker_config(home, &format!(r#"{{"credHelpers": {{"{server}": "pass"}}}}"#)),
            ["other-helper", "docker-configuration", "error"],
            [3, 1, 1],
        ),
        (
            "a credentials store that is not installed",
            &|home| docker_config(home, r#"{"credsStore": "absent"}"#),
            ["credentials-store-missing", "docker-configuration", "remark"],
            [0, 0, 0],
        ),
        (
            "a malformed source",
            &|home| source(home, "A=\"unfinished"),
            ["file-malformed", "source", "error"],
            [3, 1, 1],
        ),
        (
            "an incomplete set that is called like a path",
            &|home| home.set("A_CONTAINER_REGISTRY_SERVER", "a.test/b"),
            ["variable-missing", "variables", "error"],
            [3, 1, 0],
        ),
        (
            "an auth file that podman reads first",
            &|home| {
                let auths = format!(r#"{{"auths": {{"{server}": {{"auth": "dTpw"}}}}}}"#);
                write(&home.path(".config/containers/auth.json"), &auths);
            },
            ["shadowed-by-auth-file", "client", "error"],
            [3, 1, 1],
        ),
        (
            "a second set for the same server",
            &|home| home.declare("OTHER", &server, LOGIN),
            ["server-declared-twice", "variables", "remark"],
            [0, 0, 0],
        ),
        (
            "two passwords",
            &|home| home.set("ACME_CONTAINER_REGISTRY_PASSWORD_FILE", "/etc/hostname"),
            ["two-passwords", "variables", "remark"],
            [0, 0, 0],
        ),
    ];
    for (what, prepare, problem, expected) in cases {
        let test_home = home(&registry, prepare);
        let found = problems(&test_home);
        assert!(found.contains(&problem.map(str::to_owned)), "{what}: {found:?}");
        assert_eq!(exits(&test_home), expected, "{what}: {:#}", test_home.status());
        let text = output_text(&test_home.agent(&["status"]).output().unwrap());
        let word = if problem[2] == "error" { "\nproblem: " } else { "\nremark: " };
        assert!(text.contains(word), "{what}: {text}");
    }
}

#[test]
fn the_reason_of_a_login_has_a_severity() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let mut test_home = home(&registry, |_| {});
    assert_eq!(test_home.login("ACME")["severity"], Value::Null);
    test_home.set(PASSWORD, "wrong");
    test_home.sync();
    assert_eq!(test_home.login("ACME")["severity"], "error");
}

#[test]
fn a_set_that_was_kept_from_an_earlier_push_is_a_remark_until_the_next_one() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), LOGIN);
    test_home.sync();
    test_home.unset(PASSWORD);
    assert_eq!(
        test_home.with_declared(test_home.agent(&["sync"])).output().unwrap().status.code(),
        Some(1)
    );
    let kept = [["set-kept", "variables", "remark"].map(str::to_owned)];
    assert_eq!(test_home.login("ACME")["state"], "ready");
    assert_eq!(problems(&test_home), kept);
    assert!(test_home.problems("ACME")[0].0.contains(PASSWORD), "{:#}", test_home.status());
    assert_eq!(exits(&test_home), [0, 0, 0]);

    let pid = test_home.status()["pid"].to_string();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    assert!(test_home.credential(&registry.server()).is_some());
    assert_eq!(problems(&test_home), kept, "lost with the agent");

    test_home.set(PASSWORD, LOGIN.1);
    test_home.sync();
    assert_eq!(problems(&test_home), [] as [[String; 3]; 0]);
}

#[test]
fn a_set_that_is_incomplete_from_the_beginning_fails_the_sync_and_is_named() {
    let mut test_home = TestHome::new();
    test_home.set("ACME_CONTAINER_REGISTRY_SERVER", "127.0.0.1:1");
    test_home.set("ACME_CONTAINER_REGISTRY_USER", "puller");
    let sync = test_home.with_declared(test_home.agent(&["sync"])).output().unwrap();
    let text = output_text(&sync);
    assert_eq!(sync.status.code(), Some(1), "{text}");
    assert!(text.contains(PASSWORD), "{text}");
    assert_eq!(test_home.exit_of(&["status"]), 3);
}

#[test]
fn sync_fails_for_a_set_that_cannot_work_and_for_a_configuration_that_cannot_be_written() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", ("us:er", "password"));
    let sync = |test_home: &TestHome, status: i32| {
        for arguments in [&["sync", "--json"][..], &["sync"]] {
            let sync = test_home.with_declared(test_home.agent(arguments)).output().unwrap();
            assert_eq!(sync.status.code(), Some(status), "{arguments:?}: {}", output_text(&sync));
            if arguments.len() == 1 {
                return String::from_utf8(sync.stderr).unwrap();
            }
        }
        unreachable!()
    };
    let named = sync(&test_home, 1);
    assert!(named.contains("ACME_CONTAINER_REGISTRY_USER") && named.contains("fix: "), "{named}");

    test_home.declare_anew("ACME", "127.0.0.1:1", ("user", "password"));
    assert_eq!(sync(&test_home, 0), "");
    let config = test_home.path(".docker/config.json");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "{,}").unwrap();
    test_home.declare_anew("ACME", "127.0.0.2:1", ("user", "password"));
    let named = sync(&test_home, 1);
    assert!(named.contains(config.to_str().unwrap()) && named.contains("fix: "), "{named}");
}

#[test]
fn sync_fails_for_a_login_that_is_invalid_as_it_is_declared() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "europe-docker.pkg.dev", ("_json_key", "/home/dev/key.json"));
    for arguments in [&["sync", "--wait", "30s"][..], &["sync", "--json", "--wait", "30s"]] {
        let sync = test_home.with_declared(test_home.agent(arguments)).output().unwrap();
        assert_eq!(sync.status.code(), Some(1), "{arguments:?}: {}", output_text(&sync));
    }
    assert_eq!(test_home.login("ACME")["state"], "invalid");
}

#[test]
fn sync_that_waits_for_the_verdicts_fails_as_wait_does() {
    let registry = Registry::start(&Auth::Htpasswd(&[("dev", "right")]), None);
    for (password, status) in [("right", 0), ("wrong", 1)] {
        let mut home = TestHome::new();
        home.declare("ACME", &registry.server(), ("dev", password));
        let sync = |arguments: &[&str]| {
            let output = home.with_declared(home.agent(arguments)).output().unwrap();
            (output.status.code().unwrap(), output_text(&output))
        };
        assert_eq!(sync(&["sync"]).0, 0, "{password}");
        let (code, text) = sync(&["sync", "--wait", "60s"]);
        assert_eq!(code, status, "{text}");
        assert_eq!(home.exit_of(&["wait"]), status, "{text}");
    }
}

#[test]
fn status_in_json_without_an_agent_says_why_in_json() {
    let home = TestHome::new();
    let output = home.agent(&["status", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&document["agent"], &document["code"]),
        (&Value::Null, &"agent-not-started".into())
    );
    assert!(document["reason"].as_str().unwrap().contains("no agent is running"), "{document}");
    assert!(document["hint"].as_str().unwrap().contains("registry-agent sync"), "{document}");
}
