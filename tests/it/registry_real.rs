//! Logins judged by a real `docker-registry`.

use std::process::Command;

use crate::support::registry::{Auth, Registry};

#[test]
fn the_test_registry_takes_passwords_of_any_characters() {
    let password = "p:ä $\"' x";
    let registry = Registry::start(&Auth::Htpasswd(&[("u", password)]), None);
    let url = format!("http://{}/v2/", registry.server());
    let output = Command::new("curl").args(["-sf", "-u", &format!("u:{password}"), &url]).output();
    assert_eq!(output.unwrap().stdout, b"{}");
}
