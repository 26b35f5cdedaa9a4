//! Logins to a real `docker-registry`: declared, pushed and stored, and how they are shown.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, succeed};

const USER: &str = "puller";
/// Contains characters that are special in shells, URLs and headers.
const PASSWORD: &str = "p:ass w$rd 'single' \"double\" \\ ümläut";
const NOT_FOUND: &str = "credentials not found in native keychain\n";

#[test]
fn a_password_of_any_characters_is_verified_and_served() {
    let registry = registry();
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), (USER, PASSWORD));
    test_home.start_agent();
    assert_eq!(test_home.login("ACME")["state"], "ready");
    assert_eq!(test_home.exit_of(&["status"]), 0);
    let got = test_home.helper("get", &registry.server());
    assert!(got.status.success() && got.stderr.is_empty(), "{}", output_text(&got));
    assert_eq!(test_home.credential(&registry.server()), pair(USER, PASSWORD));
}

#[test]
fn a_wrong_password_is_withheld_and_the_reason_is_shown() {
    let registry = registry();
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), (USER, "wrong"));
    test_home.start();
    assert_eq!(test_home.login("ACME")["state"], "rejected");
    assert_eq!((test_home.exit_of(&["status"]), test_home.exit_of(&["wait", "ACME"])), (3, 1));
    let got = test_home.helper("get", &registry.server());
    assert_eq!(got.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&got.stdout), NOT_FOUND);
    let message = String::from_utf8(got.stderr).unwrap();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.contains("registry-agent check ACME") && !message.contains("wrong\""),
        "{message}"
    );
}

#[test]
fn the_login_of_an_unreachable_registry_is_served_and_verified_later() {
    let mut registry = registry();
    let server = registry.server();
    registry.stop();
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &server, (USER, PASSWORD));
    test_home.start();
    let login = test_home.login("ACME");
    assert_eq!(login["state"], "unreachable");
    assert!(login["next_refresh_at"].is_string() && login["hint"].is_string(), "{login:#}");
    assert_eq!(test_home.exit_of(&["status"]), 3);
    assert_eq!(test_home.credential(&server), pair(USER, PASSWORD));
}

#[test]
fn of_two_names_for_one_server_the_first_is_used_and_the_other_is_a_problem() {
    let registry = registry();
    let mut test_home = TestHome::new();
    test_home.declare("BETA", &registry.server(), ("other", "other"));
    test_home.declare("ALPHA", &format!("http://{}/", registry.server()), (USER, PASSWORD));
    test_home.start_agent();
    assert_eq!(test_home.login(&registry.server())["name"], "ALPHA");
    assert_eq!(test_home.credential(&registry.server()), pair(USER, PASSWORD));
    let problems = test_home.problems("BETA");
    assert!(problems[0].0.contains("ALPHA"), "{problems:?}");
}

/// A set, a part of the problem's message, and a part of its fix.
#[expect(clippy::type_complexity, reason = "a table")]
const BROKEN_SETS: &[(&[(&str, &str)], &str, &str)] = &[
    (&[("USER", "u"), ("PASSWORD", "p")], "X_CONTAINER_REGISTRY_SERVER", "set "),
    (&[("SERVER", "x.test"), ("PASSWORD", "p")], "X_CONTAINER_REGISTRY_USER", "set "),
    (&[("SERVER", "x.test"), ("USER", "u")], "X_CONTAINER_REGISTRY_PASSWORD", "set "),
    (
        &[("SERVER", "x.test"), ("USERNAME", "u"), ("PASSWORD", "p")],
        "X_CONTAINER_REGISTRY_USER",
        "X_CONTAINER_REGISTRY_USERNAME",
    ),
    (
        &[("SERVER", "x.test"), ("USER", "u"), ("TOKEN", "p")],
        "X_CONTAINER_REGISTRY_PASSWORD",
        "X_CONTAINER_REGISTRY_TOKEN",
    ),
    (
        &[("SERVER", "x.test"), ("USER", "u"), ("PASS", "p")],
        "X_CONTAINER_REGISTRY_PASSWORD",
        "X_CONTAINER_REGISTRY_PASS",
    ),
    (
        &[("URL", "x.test"), ("USER", "u"), ("PASSWORD", "p")],
        "X_CONTAINER_REGISTRY_SERVER",
        "X_CONTAINER_REGISTRY_URL",
    ),
    (
        &[("SERVER", ""), ("USER", "u"), ("PASSWORD", "p")],
        "X_CONTAINER_REGISTRY_SERVER from `start` is empty",
        "set ",
    ),
    (
        &[("SERVER", "x.test\u{7}"), ("USER", "u"), ("PASSWORD", "p")],
        "X_CONTAINER_REGISTRY_SERVER",
        "set ",
    ),
    (
        &[("SERVER", "x.test"), ("USER", "u\u{1b}[31m"), ("PASSWORD", "p")],
        "X_CONTAINER_REGISTRY_USER",
        "set ",
    ),
    (
        &[("SERVER", "x.test"), ("USER", "a:b"), ("PASSWORD", "p")],
        "X_CONTAINER_REGISTRY_USER",
        "set ",
    ),
    (
        &[("SERVER", "x.test"), ("USER", "u"), ("PASSWORD", "p"), ("PASSWORD_FILE", "/p")],
        "X_CONTAINER_REGISTRY_PASSWORD_FILE",
        "remove X_CONTAINER_REGISTRY_PASSWORD_FILE ",
    ),
];

#[test]
fn an_invalid_set_is_named_with_its_fix_and_does_not_affect_others() {
    let registry = registry();
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), (USER, PASSWORD));
    for (number, (set, ..)) in BROKEN_SETS.iter().enumerate() {
        for (suffix, value) in *set {
            let value = value.replace("x.test", &format!("x{number}.test"));
            test_home.set(&format!("X{number}_CONTAINER_REGISTRY_{suffix}"), &value);
        }
    }
    test_home.start();
    assert_eq!(test_home.exit_of(&["wait", "ACME"]), 0);
    for (number, (set, named, fix)) in BROKEN_SETS.iter().enumerate() {
        let name = format!("X{number}");
        let mine = |text: &str| text.replace("X_", &format!("{name}_"));
        let problems = test_home.problems(&name);
        assert!(
            problems.iter().any(|p| p.0.contains(&mine(named)) && p.1.contains(&mine(fix))),
            "{set:?}: {problems:?}"
        );
        assert!(!problems.iter().any(|p| p.0.contains(char::is_control)), "{problems:?}");
    }
    assert_eq!(test_home.exit_of(&["status"]), 3);
}

#[test]
fn a_fix_names_the_variables_of_the_login() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "eu.gcr.io", ("_json_key", "/home/dev/key.json"));
    test_home.start();
    let hint = test_home.login("ACME")["hint"].to_string();
    assert!(hint.contains("unset ACME_CONTAINER_REGISTRY_PASSWORD and set ACME_CONTAINER_REGISTRY_PASSWORD_FILE to that path"), "{hint}");
    assert!(!hint.contains("NAME"), "{hint}");
}

#[test]
fn status_and_wait_report_that_no_agent_runs() {
    let test_home = TestHome::new();
    assert_eq!(test_home.exit_of(&["status"]), 4);
    assert_eq!(test_home.exit_of(&["status", "--json"]), 4);
    assert_eq!(test_home.exit_of(&["wait", "--timeout", "100ms"]), 1);
}

#[test]
fn wait_gives_up_on_a_name_that_nobody_declares() {
    let test_home = TestHome::new();
    test_home.start();
    assert_eq!(test_home.exit_of(&["wait"]), 0);
    let waited = test_home.agent(&["wait", "NOBODY", "--timeout", "100ms"]).output().unwrap();
    assert_eq!(waited.status.code(), Some(1));
    assert!(output_text(&waited).contains("NOBODY"), "{}", output_text(&waited));
}

#[test]
fn wait_prints_a_line_for_each_login_and_the_reason_of_one_that_failed() {
    let registry = registry();
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), (USER, PASSWORD));
    test_home.start();
    let waited = |test_home: &TestHome, arguments: &[&str]| {
        let output = test_home.agent(arguments).output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let ready = format!("ACME {}: ready\n", registry.server());
    assert_eq!(waited(&test_home, &["wait"]), [ready.as_str(), ""]);
    assert_eq!(waited(&test_home, &["wait", "ACME"]), [ready.as_str(), ""]);
    assert_eq!(waited(&test_home, &["wait", "--json"])[1], "");

    test_home.set("ACME_CONTAINER_REGISTRY_PASSWORD", "wrong");
    test_home.sync();
    let [out, err] = waited(&test_home, &["wait"]);
    assert!(out.starts_with(&format!("ACME {}: rejected\n", registry.server())), "{out}");
    assert!(out.contains("  fix: ") && err.is_empty(), "{out}{err}");
    let [out, err] = waited(&test_home, &["wait", "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["registries"][0]["state"], "rejected");
    assert!(err.contains("  fix: "), "{err}");
}

#[test]
fn sync_says_which_logins_of_an_earlier_sync_it_removed_and_how_to_keep_both() {
    let mut test_home = TestHome::new();
    test_home.declare("FIRST", "127.0.0.1:1", (USER, PASSWORD));
    let sync = |test_home: &TestHome| {
        let sync = succeed(&mut test_home.with_declared(test_home.agent(&["sync"])));
        [sync.stdout, sync.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    assert_eq!(sync(&test_home)[1], "");
    for suffix in ["SERVER", "USER", "PASSWORD"] {
        test_home.unset(&format!("FIRST_CONTAINER_REGISTRY_{suffix}"));
    }
    test_home.declare("SECOND", "127.0.0.2:1", (USER, PASSWORD));
    let [out, err] = sync(&test_home);
    assert!(out.starts_with("added SECOND; removed FIRST\n"), "{out}");
    for part in ["FIRST was declared by an earlier `sync`", "`sources`", "config.toml"] {
        assert!(err.contains(part), "{part} in {err}");
    }
    assert_eq!(sync(&test_home)[1], "", "nothing is removed");
}

#[test]
fn each_push_replaces_the_last_and_reports_the_difference() {
    let registry = registry();
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), (USER, PASSWORD));
    test_home.declare("OLD", "old.test", ("u", "p"));
    assert_eq!(test_home.sync(), "added ACME, OLD");
    assert_eq!(test_home.sync(), "nothing changed");
    for suffix in ["SERVER", "USER", "PASSWORD"] {
        test_home.unset(&format!("OLD_CONTAINER_REGISTRY_{suffix}"));
    }
    test_home.declare("NEW", "new.test", ("u", "p"));
    test_home.set("ACME_CONTAINER_REGISTRY_PASSWORD", "another");
    assert_eq!(test_home.sync(), "added NEW; changed ACME; removed OLD");
    assert_eq!(test_home.login("ACME")["state"], "rejected");
}

#[test]
fn a_thousand_declarations_among_ten_thousand_variables_are_taken_in_one_push() {
    let registry = registry();
    let mut test_home = TestHome::new();
    for number in 0..1000 {
        test_home.declare(
            &format!("R{number}"),
            &format!("127.0.0.1:{}", 1500 + number),
            ("u", "p"),
        );
    }
    let key = format!("{{\n{}\n}}", "k".repeat(48 * 1024));
    test_home.declare("LAST", &registry.server(), (USER, &key));
    let mut sync = test_home.with_declared(test_home.agent(&["sync"]));
    sync.envs((0..7000).map(|number| (format!("OTHER_{number}"), "of no concern".repeat(2))));
    succeed(&mut sync);
    let status = test_home.status();
    assert_eq!(status["registries"].as_array().unwrap().len(), 1001);
    let config = fs::read_to_string(test_home.path(".docker/config.json")).unwrap();
    assert_eq!(config.matches("registry-agent").count(), 1001);
    test_home.declare_anew("LAST", &registry.server(), (USER, PASSWORD));
    assert_eq!(test_home.sync(), "changed LAST");
    assert_eq!(test_home.credential(&registry.server()), pair(USER, PASSWORD));
}

#[test]
fn a_push_that_declares_nothing_changes_nothing() {
    let registry = registry();
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), (USER, PASSWORD));
    test_home.sync();
    let before = test_home.login("ACME");
    let mut empty = test_home.agent(&["sync"]);
    empty.env("AWS_REGION", "eu-west-1").env("SOMETHING_CONTAINER_REGISTRY_USER", "");
    let output = succeed(&mut empty);
    assert!(output.stdout.starts_with(b"nothing changed\n"), "{}", output_text(&output));
    assert!(
        output_text(&output).contains("no exported variable of this shell declares a registry")
    );
    assert_eq!(test_home.login("ACME"), before);
    assert_eq!(test_home.credential(&registry.server()), pair(USER, PASSWORD));
}

#[test]
fn a_docker_login_overrides_the_declared_login_until_logout() {
    let registry = Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD), ("own", "mine")]), None);
    let server = registry.server();
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &server, (USER, PASSWORD));
    test_home.start_agent();
    // After each login, docker stores the credential that the helper gave it.
    store(&test_home, &server, (USER, PASSWORD));
    assert_eq!(test_home.login(&server)["name"], "ACME");
    assert!(!test_home.path(STORED).exists());
    store(&test_home, &server, ("own", "mine"));
    assert_eq!(test_home.credential(&server), pair("own", "mine"));
    let login = test_home.login(&server);
    assert_eq!((&login["name"], &login["state"]), (&Value::Null, &json!("ready")));
    let mode = fs::metadata(test_home.path(STORED)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    succeed(&mut test_home.agent(&["stop"]));
    test_home.start_agent();
    assert_eq!(test_home.credential(&server), pair("own", "mine"), "lost over stop and start");

    // logout erases with and without a scheme, and also servers that were never stored.
    for asked in [&server, &format!("https://{server}"), &server] {
        let erased = test_home.helper("erase", asked);
        assert!(erased.status.success() && erased.stdout.is_empty(), "{}", output_text(&erased));
    }
    assert_eq!(test_home.credential(&server), pair(USER, PASSWORD));
    assert!(!test_home.path(STORED).exists());
}

#[test]
fn a_stored_login_is_dropped_in_another_codespace() {
    let registry = registry();
    let server = registry.server();
    let mut test_home = TestHome::new();
    test_home.set("CODESPACE_NAME", "one");
    test_home.start();
    store(&test_home, &server, (USER, PASSWORD));
    succeed(&mut test_home.agent(&["stop"]));
    test_home.start();
    assert_eq!(test_home.credential(&server), pair(USER, PASSWORD));
    succeed(&mut test_home.agent(&["stop"]));
    test_home.set("CODESPACE_NAME", "two");
    test_home.start();
    assert_eq!(test_home.credential(&server), None);
    succeed(&mut test_home.agent(&["stop"]));
    assert!(!test_home.path(STORED).exists());
}

const STORED: &str = ".local/state/registry-agent/logins.json";

fn registry() -> Registry {
    Registry::start(&Auth::Htpasswd(&[(USER, PASSWORD)]), None)
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with an `Option`")]
fn pair(user: &str, secret: &str) -> Option<(String, String)> {
    Some((user.to_owned(), secret.to_owned()))
}

fn store(test_home: &TestHome, server: &str, (user, secret): (&str, &str)) {
    let login = json!({ "ServerURL": server, "Username": user, "Secret": secret }).to_string();
    let stored: Output = test_home.helper("store", &login);
    assert!(stored.status.success() && stored.stdout.is_empty(), "{}", output_text(&stored));
}

#[test]
fn states_are_coloured_on_a_terminal_that_supports_it() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", (USER, PASSWORD));
    test_home.start();
    test_home.exit_of(&["wait"]);
    let program = env!("CARGO_BIN_EXE_registry-agent");
    // script(1) runs the command on a terminal.
    let status = |term: &str, no_color: &str| {
        let mut command = test_home.command("script");
        command.args(["-qec", &format!("{program} status"), "/dev/null"]);
        command.env("TERM", term).env("NO_COLOR", no_color).env_remove("CI");
        output_text(&command.output().unwrap())
    };
    assert!(status("xterm", "").contains("\x1b[33munreachable"), "{}", status("xterm", ""));
    for plain in [status("dumb", ""), status("xterm", "1"), status("dumb", "1")] {
        assert!(plain.contains("unreachable") && !plain.contains('\x1b'), "{plain}");
    }
}
