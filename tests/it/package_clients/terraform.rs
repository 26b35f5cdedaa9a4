//! The credentials helper of Terraform and `OpenTofu`, by its written protocol.

use serde_json::{Value, json};

use super::{ask, table};
use crate::support::test_home::{TestHome, output_text};

const PROGRAM: &str = "terraform-credentials-registry-agent";

fn home() -> TestHome {
    let mut test_home = TestHome::new();
    for (name, server, user) in [
        ("TOKEN", "https://terraform.invalid/", None),
        ("PORT", "https://terraform.invalid:8443/", None),
        ("BELOW", "https://below.invalid/api/v4/", None),
        ("USER", "https://user.invalid/", Some("builder")),
    ] {
        test_home.declare_packages(name, &[("SERVER", server), ("PASSWORD", name)]);
        if let Some(user) = user {
            test_home.declare_packages(name, &[("USER", user)]);
        }
    }
    test_home.start();
    test_home.exit_of(&["wait"]);
    test_home
}

#[test]
fn a_declared_host_gets_its_token_and_no_other_one() {
    let test_home = home();
    for (host, token) in [
        ("terraform.invalid", json!({"token": "TOKEN"})),
        ("terraform.invalid:8443", json!({"token": "PORT"})),
        // The token would go to whatever the host names as its services.
        ("below.invalid", json!({})),
        // Terraform would send the password as a token.
        ("user.invalid", json!({})),
        ("terraform.invalid:443.evil.invalid", json!({})),
        ("terraform.invalid@evil.invalid", json!({})),
        ("evil.invalid/terraform.invalid", json!({})),
        ("terraform.invalid.evil.invalid", json!({})),
        ("terraform.invalid:8444", json!({})),
        ("", json!({})),
    ] {
        let output = ask(&test_home, PROGRAM, &["get", host], "");
        assert!(output.status.success() && output.stderr.is_empty(), "{}", output_text(&output));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer, token, "{host}");
    }
    let calls = [format!("{PROGRAM} get HOST")];
    table::record("Terraform, OpenTofu", "none", "the written protocol", &calls);
}

#[test]
fn nothing_is_stored_and_the_variable_to_set_is_named() {
    let test_home = home();
    for verb in ["store", "forget"] {
        for (host, name) in [("terraform.invalid", "TOKEN"), ("other.invalid", "NAME")] {
            let output = ask(&test_home, PROGRAM, &[verb, host], "{\"token\": \"canary\"}");
            let text = output_text(&output);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(&format!("`{verb}` is not supported")), "{text}");
            assert!(text.contains(&format!("{name}_PACKAGE_REGISTRY_PASSWORD")), "{text}");
            assert!(!text.contains("canary"), "{text}");
        }
    }
    for arguments in [&[][..], &["get"], &["later", "terraform.invalid"]] {
        let output = ask(&test_home, PROGRAM, arguments, "");
        assert_eq!(output.status.code(), Some(2), "{}", output_text(&output));
    }
}
