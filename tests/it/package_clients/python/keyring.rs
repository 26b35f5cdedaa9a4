//! The `keyring` program itself: what it never answers, and what it leaves to another one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Output;

use serde_json::{Value, json};

use super::{LOGIN, PythonTest};
use crate::package_clients::{HELPER, helper};
use crate::support::test_home::{output_text, run_with_input};

#[test]
fn each_question_is_answered_as_by_the_keyring_of_python() {
    let test = PythonTest::new();
    let url = test.private.url("/simple/");
    let (user, password) = LOGIN;
    assert_eq!(text(&ask(&test, &["get", &url, user])), format!("{password}\n"));
    let both = format!("{user}\n{password}\n");
    assert_eq!(text(&ask(&test, &["get", &url, "--mode", "creds"])), both);
    let output = ask(&test, &["--mode=creds", "--output=json", "get", &url]);
    let login: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(login, json!({"username": user, "password": password}));
    assert!(output.stderr.is_empty(), "{}", output_text(&output));
}

#[test]
fn no_other_url_gets_the_login() {
    let test = PythonTest::new();
    let host = test.private.host();
    let port = host.split(':').nth(1).unwrap();
    for asked in [
        host.clone(),
        "127.0.0.1".to_owned(),
        format!("{host}/simple/"),
        format!("//{host}/simple/"),
        format!("https://{host}/simple/"),
        format!("http://{host}.evil.test/simple/"),
        format!("http://{host}@evil.test/simple/"),
        format!("http://reader@{host}/simple/"),
        format!("http://127.0.0.1:1{port}/simple/"),
        "http://127.0.0.1/simple/".to_owned(),
        format!("http://localhost:{port}/simple/"),
        format!("http://{host}/..%2fsimple/"),
        "poetry-repository-acme".to_owned(),
        "python-poetry-check".to_owned(),
        "https://pypi.org/simple/".to_owned(),
        String::new(),
    ] {
        for arguments in [&["--mode=creds", "get", &asked][..], &["get", &asked, "reader"]] {
            let output = ask(&test, arguments);
            assert_eq!(output.status.code(), Some(1), "{asked}");
            assert!(output_text(&output).is_empty(), "{asked}: {}", output_text(&output));
        }
    }
}

#[test]
fn a_withheld_login_and_one_of_another_user_are_explained_without_a_secret() {
    let test = PythonTest::new();
    let url = test.private.url("/simple/");
    let output = ask(&test, &["get", &url, "other"]);
    let line = "belongs to the user reader, not to other; write `reader@` before the host";
    assert!(output_text(&output).contains(line), "{}", output_text(&output));

    test.withhold();
    let output = ask(&test, &["get", &url, "reader"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output_text(&output).contains("registry-agent check ACME"), "{}", output_text(&output));
    assert!(!output_text(&output).contains(LOGIN.1), "{}", output_text(&output));
}

#[test]
fn another_keyring_on_path_gets_everything_else_with_its_arguments_and_status() {
    let test = PythonTest::new();
    let url = test.private.url("/simple/");
    fs::remove_file(test.test_home.path("bin/keyring")).unwrap();
    let output = ask(&test, &["set", &url, "reader"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output_text(&output).contains("not supported"), "{}", output_text(&output));
    let output = ask(&test, &["--list-backends"]);
    assert!(output_text(&output).contains("no other one on PATH"), "{}", output_text(&output));

    // One that comes before ours, as in a virtual environment, where pip does not look; and another
    // copy of ours, which would run the first one again.
    let copy = test.test_home.path("copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(HELPER, copy.join("keyring")).unwrap();
    let other = test.test_home.path("bin/keyring");
    fs::write(&other, "#!/bin/sh\necho \"other: $*\"\nexit 7\n").unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    for arguments in [
        &["get", "https://other.test/simple/", "me"][..],
        &["--mode=creds", "--output=json", "get", "127.0.0.1"],
        &["--list-backends"],
        &["set", "https://other.test/", "me"],
        &["-b", "some.Backend", "get", &url, "reader"],
    ] {
        let output = ask(&test, arguments);
        assert_eq!(output.status.code(), Some(7), "{arguments:?}");
        assert_eq!(text(&output), format!("other: {}\n", arguments.join(" ")));
    }
    assert_eq!(text(&ask(&test, &["get", &url, "reader"])), format!("{}\n", LOGIN.1));

    fs::remove_file(&other).unwrap();
    symlink(copy.join("keyring"), &other).unwrap();
    let output = ask(&test, &["get", "https://other.test/simple/", "me"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output_text(&output).is_empty(), "{}", output_text(&output));

    // A third one after two of ours.
    let third = test.test_home.path("third");
    fs::create_dir(&third).unwrap();
    let program = third.join("keyring");
    fs::write(&program, "#!/bin/sh\necho \"third: $*\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = test.command(helper(&test.test_home, "keyring"));
    let path = command.get_envs().find_map(|(name, value)| (name == "PATH").then_some(value?));
    let path = format!("{}:{}", path.unwrap().to_str().unwrap(), third.display());
    let output = command.env("PATH", path).args(["get", "https://other.test/", "me"]).output();
    assert_eq!(text(&output.unwrap()), "third: get https://other.test/ me\n");
}

#[test]
fn a_question_about_no_login_of_ours_starts_no_agent() {
    let test = PythonTest::new();
    test.test_home.exit_of(&["stop"]);
    let output = ask(&test, &["get", &test.private.url("/simple/"), "reader"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output_text(&output).is_empty(), "{}", output_text(&output));
    assert_eq!(test.test_home.exit_of(&["status"]), 4);
}

fn ask(test: &PythonTest, arguments: &[&str]) -> Output {
    test.command(helper(&test.test_home, "keyring")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn another_backend_of_pythons_keyring_gets_everything_else() {
    let test = PythonTest::new();
    // Python loads this module first, which makes the backend known.
    let backend = "from keyring import backend\n\
                   class Other(backend.KeyringBackend):\n\
                   \x20   priority = 5\n\
                   \x20   def get_password(self, service, username):\n\
                   \x20       return {'https://other.test/': 'theirs'}.get(service)\n\
                   \x20   def set_password(self, service, username, password):\n\
                   \x20       print('stored', service)\n";
    fs::create_dir(test.test_home.path("site")).unwrap();
    fs::write(test.test_home.path("site/sitecustomize.py"), backend).unwrap();
    let keyring = |arguments: &[&str]| {
        let mut command = test.module("keyring", arguments);
        command.env("PYTHONPATH", test.test_home.path("site"));
        run_with_input(&mut command, "secret-word\n")
    };
    let url = test.private.url("/simple/");
    assert_eq!(text(&keyring(&["get", &url, "reader"])), format!("{}\n", LOGIN.1));
    assert_eq!(text(&keyring(&["get", "https://other.test/", "me"])), "theirs\n");
    assert_eq!(keyring(&["get", "https://none.test/", "me"]).status.code(), Some(1));
    assert!(text(&keyring(&["set", "https://other.test/", "me"])).contains("stored https://other"));
    let output = keyring(&["set", &url, "reader"]);
    assert!(!output.status.success(), "{}", output_text(&output));
    assert!(output_text(&output).contains("stores none"), "{}", output_text(&output));
    assert!(!output_text(&output).contains("secret-word"), "{}", output_text(&output));
}
