//! What `sync`, `wait` and `check` say first, and what they do not keep to themselves.

use std::net::TcpListener;

use super::{Fault, PASSWORD, USER, home_for, registry};
use crate::support::test_home::{TestHome, output_text};

/// What a command of a shell with all variables prints, in order, and its exit status.
fn told(home: &TestHome, arguments: &str) -> (String, Option<i32>) {
    let mut shell = home.command("sh");
    shell.args(["-c", &format!("registry-agent {arguments} 2>&1")]);
    let output = home.with_declared(shell).output().unwrap();
    (output_text(&output), output.status.code())
}

#[test]
fn a_proxy_that_is_none_is_named_before_anything_is_asked() {
    let mut home = TestHome::new();
    home.declare("ACME", "registry.invalid", (USER, PASSWORD));
    home.set("HTTPS_PROXY", "not a proxy");
    home.sync_in_vain();
    let says = "HTTPS_PROXY from `sync` is not the URL of a proxy";
    for arguments in ["sync --wait 60s", "wait", "status"] {
        let (text, _) = told(&home, arguments);
        let at = text.find(says).unwrap_or_else(|| panic!("{arguments}: {text}"));
        let later = text.find("DNS lookup").unwrap_or_else(|| panic!("{arguments}: {text}"));
        assert!(at < later, "{arguments}: {text}");
    }
    for arguments in ["check", "check ACME", "check registry.invalid"] {
        let (text, code) = told(&home, arguments);
        let failed: Vec<&str> = text.lines().filter(|line| line.starts_with("failed")).collect();
        assert!(failed.len() == 1 && failed[0].contains(says), "{arguments}: {text}");
        assert_eq!(code, Some(1), "{arguments}: {text}");
    }
    // No proxy is asked for this one.
    let registry = registry();
    home.declare("LOCAL", &registry.server(), (USER, PASSWORD));
    home.sync_in_vain();
    let (text, code) = told(&home, "check LOCAL");
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_proxy_that_does_not_resolve_is_called_by_its_host() {
    let mut home = TestHome::new();
    home.declare("ACME", "registry.test", (USER, PASSWORD));
    home.set("HTTPS_PROXY", "http://proxy.invalid:3128");
    home.start();
    Fault::error(&home, "proxy-unreachable").says(&["DNS lookup of proxy.invalid failed"]);
}

#[test]
fn sync_and_wait_say_what_the_values_show_and_what_is_misspelt() {
    let registry = registry();
    let mut home = home_for(&registry);
    home.set("ACME_CONTAINER_REGISTRY_USERNAME", "other");
    home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    home.declare("CLOUD", "111122223333.dkr.ecr.eu-west-1.amazonaws.com", ("AWS", PASSWORD));
    let lines = [
        "remark: ACME_CONTAINER_REGISTRY_USERNAME from `sync` is ignored",
        "CLOUD_CONTAINER_REGISTRY_PASSWORD from `sync` is not an ECR token",
    ];
    for arguments in ["sync --wait 60s", "wait"] {
        let (text, _) = told(&home, arguments);
        for line in lines {
            assert_eq!(text.matches(line).count(), 1, "{arguments}: {line:?}: {text}");
        }
    }
}

#[test]
fn a_wait_that_times_out_says_for_what_and_how_to_see_more() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = silent.local_addr().unwrap().to_string();
    let mut home = TestHome::new();
    home.declare("ACME", &format!("http://{server}"), (USER, PASSWORD));
    home.sync();
    let expected = format!(
        "still pending: ACME, which waits for {server}; to see more, run `registry-agent check ACME`"
    );
    for arguments in ["sync --wait 0.1s", "wait --timeout 0.1s"] {
        let (text, code) = told(&home, arguments);
        assert!(text.contains(&expected), "{arguments}: {text}");
        assert_eq!(code, Some(1), "{arguments}: {text}");
    }
}
