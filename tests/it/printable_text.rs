//! Values of variables and names of files reach people as printable text on the line that is about them,
//! although whoever writes them wants something else.

use std::fs;

use serde_json::Value;

use crate::support::test_home::{TestHome, output_text, run_with_input};

/// Moves the cursor, begins another line, and turns the direction of the text.
const ODD: &str = "\u{1b}[31m\u{7}\u{9b}2J\nproblem: forged \u{202e}";

fn assert_printable(what: &str, text: &str) {
    let is_odd = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
    assert!(!text.contains(is_odd), "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("problem: forged")), "{what}: {text}");
}

/// Every text in the document, and the names of its members.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| [vec![name.clone()], texts(value)].concat())
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn what_variables_and_files_contain_is_shown_as_printable_text() {
    let mut home = TestHome::new();
    let odd = |text: &str| format!("{text}{ODD}");
    home.declare("PLAIN", "127.0.0.1:1", ("user", "password"));
    for (name, server, field, value) in [
        ("A", "127.0.0.2:1", "CA_FILE", odd("/nowhere")),
        ("B", "127.0.0.3:1", "PASSWORD_FILE", odd("/nowhere")),
        ("C", "111122223333.dkr.ecr.eu-west-1.amazonaws.com", "PROFILE", odd("work")),
        ("D", "127.0.0.4:1", "USER", "user\u{202e}".to_owned()),
        ("E", &odd("127.0.0.5:1"), "USER", "user".to_owned()),
    ] {
        home.set(&format!("{name}_CONTAINER_REGISTRY_SERVER"), server);
        if !matches!(field, "PASSWORD_FILE" | "PROFILE") {
            home.set(&format!("{name}_CONTAINER_REGISTRY_PASSWORD"), "password");
        }
        if !matches!(field, "USER" | "PROFILE") {
            home.set(&format!("{name}_CONTAINER_REGISTRY_USER"), "user");
        }
        home.set(&format!("{name}_CONTAINER_REGISTRY_{field}"), &value);
    }
    home.declare_packages("F", &[("SERVER", "https://127.0.0.6:1/"), ("SCHEME", &odd("basic"))]);
    home.set("AWS_ENDPOINT_URL_ECR", "http://127.0.0.1:1");
    let directory = home.path("docker").display().to_string() + ODD;
    fs::create_dir(&directory).unwrap();
    fs::write(format!("{directory}/config.json"), "{").unwrap();
    home.set("DOCKER_CONFIG", &directory);
    home.sync_in_vain();
    home.exit_of(&["wait"]);

    for arguments in [
        &["sync"][..],
        &["status"],
        &["wait"],
        &["refresh"],
        &["events"],
        &["check"],
        &["check", "A"],
        &["check", "127.0.0.1:1"],
        &["wait", "--timeout", "0s", &odd("nope")],
        &["refresh", &odd("nope")],
        &["check", &odd("nope")],
        &["export", "docker-config", &odd("nope")],
        &["exec", &odd("nope"), "--", "true"],
        &["explain", &odd("nope")],
    ] {
        let mut command = home.with_declared(home.agent(arguments));
        // As on a terminal, where escape sequences are not removed.
        let output = command.env("CLICOLOR_FORCE", "1").output().unwrap();
        let text = output_text(&output);
        // Our own colours.
        let text = ["0", "31", "32", "33", "90"]
            .iter()
            .fold(text, |text, color| text.replace(&format!("\u{1b}[{color}m"), ""));
        assert_printable(&format!("{arguments:?}"), &text);
    }
    for arguments in [&["status", "--json"][..], &["events", "--json"], &["check", "--json"]] {
        let output = home.with_declared(home.agent(arguments)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        for text in documents.flat_map(|document| texts(&document.unwrap())) {
            assert_printable(&format!("{arguments:?}"), &text);
        }
    }
    for server in ["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"] {
        let mut helper = home.command(env!("CARGO_BIN_EXE_docker-credential-registry-agent"));
        let output = run_with_input(helper.arg("get").env("DOCKER_CONFIG", &directory), server);
        assert_printable(server, &String::from_utf8_lossy(&output.stderr));
    }
    let log = fs::read_to_string(home.path(".local/state/registry-agent/agent.log")).unwrap();
    assert_printable("the log", &log);
}

#[test]
fn a_value_with_a_character_that_nobody_sees_is_named() {
    let mut home = TestHome::new();
    for (name, field, value, what) in [
        ("A", "CA_FILE", "/ca\u{200b}.pem", "an invisible character"),
        ("B", "USER", "dev\u{feff}", "an invisible character"),
        ("C", "PASSWORD_FILE", "/run/\u{1b}secret", "a control character"),
    ] {
        home.set(
            &format!("{name}_CONTAINER_REGISTRY_SERVER"),
            &format!("{}.test", name.to_lowercase()),
        );
        if field != "PASSWORD_FILE" {
            home.set(&format!("{name}_CONTAINER_REGISTRY_PASSWORD"), "password");
        }
        home.set(&format!("{name}_CONTAINER_REGISTRY_USER"), "dev");
        home.set(&format!("{name}_CONTAINER_REGISTRY_{field}"), value);
        home.sync_in_vain();
        let (problem, _) = home.problems(name)[0].clone();
        assert!(problem.contains(&format!("{name}_CONTAINER_REGISTRY_{field}")), "{problem}");
        assert!(problem.contains(what), "{problem}");
    }
}
