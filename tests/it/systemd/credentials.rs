//! The files that systemd passes to a service (`LoadCredential=`).

use std::fs;
use std::process::Child;

use serde_json::Value;

use crate::support::processes::{kill_9, only_pair, wait_until};
use crate::support::test_home::TestHome;

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";
const PASSWORD: &str = "ACME_CONTAINER_REGISTRY_PASSWORD";

#[test]
fn the_credentials_of_a_service_are_a_source_by_default() {
    let test_home = with_credentials(&[
        ("ACME_CONTAINER_REGISTRY_SERVER", SERVER),
        ("ACME_CONTAINER_REGISTRY_USER", "user"),
        (PASSWORD, "loaded\n"),
    ]);
    let mut service = run(&test_home);
    assert_eq!(test_home.credential(SERVER), Some(login("loaded")));
    let shown = test_home.login("ACME")["source"].clone();
    assert_eq!(shown, test_home.path("credentials").display().to_string());
    // The next agent knows the directory too.
    kill_9(&only_pair(&test_home.lock()).agent);
    fs::write(test_home.path("credentials").join(PASSWORD), "changed").unwrap();
    wait_until("the password does not change", || {
        test_home.credential(SERVER) == Some(login("changed"))
    });
    assert_eq!(test_home.exit_of(&["stop"]), 0);
    assert!(service.wait().unwrap().success());
}

#[test]
fn the_configuration_may_name_the_credentials_in_any_place() {
    let test_home =
        with_credentials(&[(PASSWORD, "loaded"), ("registries.env", &format!("{PASSWORD}=env\n"))]);
    let low = format!(
        "ACME_CONTAINER_REGISTRY_SERVER={SERVER}\nACME_CONTAINER_REGISTRY_USER=user\n{PASSWORD}=low\n"
    );
    fs::write(test_home.path("low.env"), low).unwrap();
    let sources =
        "[\"$CREDENTIALS_DIRECTORY/registries.env\", \"$CREDENTIALS_DIRECTORY\", \"~/low.env\"]";
    let config = test_home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, format!("sources = {sources}\n")).unwrap();
    let mut service = run(&test_home);
    assert_eq!(test_home.credential(SERVER), Some(login("env")));
    assert_eq!(test_home.exit_of(&["stop"]), 0);
    assert!(service.wait().unwrap().success());

    // A service without credentials, and an agent that no service started, have no such directory.
    test_home.start();
    assert_eq!(test_home.credential(SERVER), Some(login("low")));
    let sources = test_home.status()["sources"].clone();
    let named = |source: &Value| source["name"].as_str().is_some_and(|it| it.contains('$'));
    assert!(!sources.as_array().unwrap().iter().any(named), "{sources:#}");
}

fn with_credentials(files: &[(&str, &str)]) -> TestHome {
    let test_home = TestHome::new();
    let directory = test_home.path("credentials");
    fs::create_dir(&directory).unwrap();
    for (name, content) in files {
        fs::write(directory.join(name), content).unwrap();
    }
    test_home
}

/// A service that serves.
fn run(test_home: &TestHome) -> Child {
    let mut service = test_home.agent(&["run"]);
    let service = service.env("CREDENTIALS_DIRECTORY", test_home.path("credentials")).spawn();
    only_pair(&test_home.lock());
    service.unwrap()
}

fn login(password: &str) -> (String, String) {
    ("user".to_owned(), password.to_owned())
}
