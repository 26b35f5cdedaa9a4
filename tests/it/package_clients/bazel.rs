//! Bazel's credential helper, by its written protocol.

use std::process::Output;

use serde_json::{Value, json};

use super::table;
use crate::support::test_home::{TestHome, output_text};

const PROGRAM: &str = "bazel-credential-registry-agent";
const SERVER: &str = "https://bazel.invalid/artifacts/";

#[test]
fn a_file_below_the_declared_url_gets_the_header_and_no_other_one() {
    let mut test_home = TestHome::new();
    test_home.declare_packages(
        "ACME",
        &[("SERVER", SERVER), ("USER", "builder"), ("PASSWORD", "p\"ass"), ("SCHEME", "basic")],
    );
    // The registry does not exist: its login is unreachable and served.
    test_home.start();
    test_home.exit_of(&["wait"]);

    let found = headers(&ask(&test_home, "https://bazel.invalid/artifacts/a/b.tar.gz"));
    assert_eq!(found, json!({"Authorization": ["Basic YnVpbGRlcjpwImFzcw=="]}));
    for other in [
        "https://bazel.invalid/artifacts-of-others/b.tar.gz",
        "https://bazel.invalid:8443/artifacts/b.tar.gz",
        "http://bazel.invalid/artifacts/b.tar.gz",
        "https://bazel.invalid/",
        "https://other.invalid/artifacts/b.tar.gz",
        "",
    ] {
        let output = ask(&test_home, other);
        assert_eq!(headers(&output), json!({}), "{other}");
        assert!(output.stderr.is_empty(), "{other}: {}", output_text(&output));
    }
    table::record("Bazel", "none", "the written protocol", &[format!("{PROGRAM} get")]);
}

#[test]
fn public_files_are_fetched_after_stop_and_a_request_that_is_none_is_named() {
    let test_home = TestHome::new();
    test_home.start();
    test_home.exit_of(&["stop"]);
    let output = ask(&test_home, "https://public.invalid/b.tar.gz");
    assert_eq!(headers(&output), json!({}));
    assert!(output.stderr.is_empty(), "{}", output_text(&output));

    let output = super::ask(&test_home, PROGRAM, &["get"], "{\"uri\": \"https://user:canary@host/");
    assert_eq!(output.status.code(), Some(1));
    let text = output_text(&output);
    assert!(text.contains("standard input is not a request"), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

fn ask(test_home: &TestHome, url: &str) -> Output {
    super::ask(test_home, PROGRAM, &["get"], &json!({"uri": url}).to_string())
}

fn headers(output: &Output) -> Value {
    assert!(output.status.success(), "{}", output_text(output));
    let response: Value = serde_json::from_slice(&output.stdout).unwrap();
    response["headers"].clone()
}
