//! Names and servers as people type them, in `wait`, `refresh` and `export`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text};

const LOGIN: (&str, &str) = ("dev", "right-password");

fn registry() -> Registry {
    Registry::start(&Auth::Htpasswd(&[LOGIN]), None)
}

/// A home with the login `ACME`, and `HALF`, which has no password.
fn home(registry: &Registry) -> TestHome {
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), LOGIN);
    home.set("HALF_CONTAINER_REGISTRY_SERVER", "half.example.com");
    home.set("HALF_CONTAINER_REGISTRY_USER", "dev");
    home.start();
    home.exit_of(&["wait"]);
    home
}

#[test]
fn a_name_is_found_in_any_case() {
    let registry = registry();
    let home = home(&registry);
    for command in [&["wait"][..], &["refresh"], &["export", "docker-config"]] {
        for name in ["ACME", "acme", "Acme", &registry.server()] {
            let output = home.agent(&[command, &[name]].concat()).output().unwrap();
            assert!(output.status.success(), "{command:?} {name}: {}", output_text(&output));
        }
    }
}

#[test]
fn the_exact_name_comes_before_the_same_name_in_another_case() {
    let (one, other) = (registry(), registry());
    let mut home = TestHome::new();
    home.declare("ACME", &one.server(), LOGIN);
    home.declare("Acme", &other.server(), LOGIN);
    home.start_agent();
    for (name, registry) in [("ACME", &one), ("Acme", &other)] {
        let output = home.agent(&["refresh", name]).output().unwrap();
        let expected = format!("{name} {}: ready\n", registry.server());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}

#[test]
fn what_is_not_declared_is_named_and_the_rest_is_refreshed() {
    let registry = registry();
    let home = home(&registry);
    for (names, said) in [
        (&["NOPE"][..], "NOPE is not declared\n"),
        (&["AMCE"], "AMCE is not declared (did you mean ACME?)\n"),
        (&["nope.example.com", "acme"], "nope.example.com is not declared\n"),
        (&["HALF", "acme"], "HALF has no login (HALF_CONTAINER_REGISTRY_PASSWORD is not set"),
    ] {
        let output = home.agent(&[&["refresh"], names].concat()).output().unwrap();
        let (text, refreshed) = (output_text(&output), String::from_utf8_lossy(&output.stdout));
        assert!(text.contains(&format!("registry-agent: {said}")), "{text}");
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert_eq!(refreshed.contains("ready"), names.contains(&"acme"), "{text}");

        let output = home.agent(&[&["export", "docker-config"], names].concat()).output().unwrap();
        let text = output_text(&output);
        assert!(output.status.code() == Some(1) && text.contains(said.trim_end()), "{text}");
    }
}

#[test]
fn wait_says_at_once_what_is_not_declared_yet_and_ends_when_it_is() {
    let registry = registry();
    let mut home = home(&registry);
    let mut wait = home.agent(&["wait", "other", "HALF", "--timeout", "5m"]);
    let mut wait = wait.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(wait.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let expected = "registry-agent: other is not declared yet; waiting up to 5 min";
    assert_eq!(first, expected);
    let second = lines.next().unwrap().unwrap();
    assert!(
        second.starts_with("registry-agent: HALF has no login yet (HALF_CONTAINER"),
        "{second}"
    );
    let (one, other) = (self::registry(), self::registry());
    home.declare("OTHER", &one.server(), LOGIN);
    home.declare_anew("HALF", &other.server(), LOGIN);
    home.sync();
    let left: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(wait.wait().unwrap().success(), "{left:?}");
}
