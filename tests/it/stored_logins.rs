//! Stored logins of `docker login`: on a full or frozen disk, in a home directory that containers share,
//! and in their codespace.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::mounts::{Freezable, Mounted};
use crate::support::processes::wait_until;
use crate::support::test_home::{TestHome, credential, output_text, run_with_input, succeed};
use crate::support::unresponsive_mount::UnresponsiveMount;

/// Nothing listens on these ports, so the logins are unreachable immediately, and served.
const ONE: &str = "127.0.0.1:1";
const OTHER: &str = "127.0.0.1:2";

fn store(test_home: &TestHome, server: &str, secret: &str) -> Output {
    test_home.helper("store", &login(server, secret))
}

fn login(server: &str, secret: &str) -> String {
    json!({ "ServerURL": server, "Username": "own", "Secret": secret }).to_string()
}

fn stored(test_home: &TestHome, server: &str, secret: &str) {
    let output = store(test_home, server, secret);
    assert!(output.status.success(), "{}", output_text(&output));
}

/// The served secret of a stored login, whose user is always `own`.
fn secret(test_home: &TestHome, server: &str) -> Option<String> {
    test_home.credential(server).map(|(_, secret)| secret)
}

fn restart(test_home: &TestHome) {
    succeed(&mut test_home.agent(&["stop"]));
    test_home.start();
}

fn logins_file(test_home: &TestHome) -> PathBuf {
    test_home.path(".local/state/registry-agent/logins.json")
}

/// A home whose state directory is a link to the file system mounted at `disk`.
fn home_with_state_on_disk() -> TestHome {
    let test_home = TestHome::new();
    fs::create_dir_all(test_home.path(".local/state")).unwrap();
    symlink("../../disk/state", test_home.path(".local/state/registry-agent")).unwrap();
    test_home
}

#[test]
fn an_erase_on_a_full_disk_takes_effect_or_is_reported_as_failed() {
    let test_home = home_with_state_on_disk();
    let disk = Mounted::tmpfs(&test_home.path("disk"), "256k");
    fs::create_dir(test_home.path("disk/state")).unwrap();
    test_home.start();
    stored(&test_home, ONE, "first");
    stored(&test_home, OTHER, &"second".repeat(2000));
    disk.fill();

    let erased = test_home.helper("erase", ONE);
    let expected = (!erased.status.success()).then(|| "first".to_owned());
    assert_eq!(secret(&test_home, ONE), expected, "{}", output_text(&erased));
    restart(&test_home);
    assert_eq!(secret(&test_home, ONE), expected, "after a restart");
    drop((test_home, disk));
}

#[test]
fn the_last_login_is_erased_on_a_full_disk_and_stays_erased() {
    let test_home = home_with_state_on_disk();
    let disk = Mounted::tmpfs(&test_home.path("disk"), "256k");
    fs::create_dir(test_home.path("disk/state")).unwrap();
    test_home.start();
    stored(&test_home, ONE, "first");
    disk.fill();
    let erased = test_home.helper("erase", ONE);
    assert!(erased.status.success(), "{}", output_text(&erased));
    assert_eq!(secret(&test_home, ONE), None);
    restart(&test_home);
    assert_eq!(secret(&test_home, ONE), None, "after a restart");
    drop((test_home, disk));
}

#[test]
fn a_store_that_was_reported_as_failed_on_a_frozen_disk_takes_no_effect_later() {
    let mut test_home = home_with_state_on_disk();
    let disk = Freezable::ext4(&test_home.path("disk"));
    fs::create_dir(test_home.path("disk/state")).unwrap();
    test_home.declare("ACME", ONE, ("user", "declared"));
    test_home.start();
    disk.freeze();
    let failed = std::thread::scope(|scope| {
        let store = scope.spawn(|| store(&test_home, ONE, "own"));
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(4) {
            assert_eq!(secret(&test_home, ONE).as_deref(), Some("declared"));
        }
        store.join().unwrap()
    });
    assert!(!failed.status.success(), "{}", output_text(&failed));
    disk.thaw();
    // This change succeeds only after every pending one has finished.
    stored(&test_home, OTHER, "other");
    assert_eq!(secret(&test_home, ONE).as_deref(), Some("declared"));
    assert_eq!(secret(&test_home, OTHER).as_deref(), Some("other"));
    restart(&test_home);
    assert_eq!(secret(&test_home, ONE).as_deref(), Some("declared"), "after a restart");
    succeed(&mut test_home.agent(&["stop"]));
    drop((test_home, disk));
}

#[test]
fn stored_logins_whose_file_system_hangs_are_a_problem_and_return_when_it_responds() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", ONE, ("user", "declared"));
    test_home.start();
    stored(&test_home, ONE, "own");
    succeed(&mut test_home.agent(&["stop"]));
    let mount = UnresponsiveMount::new(logins_file(&test_home).parent().unwrap());
    // `start` would open its log there.
    let mut run = test_home.with_declared(test_home.agent(&["run"])).spawn().unwrap();
    let served = |expected: &str| secret(&test_home, ONE).as_deref() == Some(expected);
    wait_until("the declared login is not served", || served("declared"));
    let codes = || -> Vec<Value> {
        let problems = test_home.status()["problems"].clone();
        problems.as_array().unwrap().iter().map(|problem| problem["code"].clone()).collect()
    };
    assert_eq!(codes(), ["stored-logins-hang"]);
    assert_eq!(test_home.status()["settled"], true);

    drop(mount);
    wait_until("the stored login is not served again", || served("own"));
    assert!(codes().is_empty(), "{:?}", codes());
    succeed(&mut test_home.agent(&["stop"]));
    run.wait().unwrap();
}

#[test]
fn a_login_that_makes_the_file_too_large_is_not_stored() {
    let test_home = TestHome::new();
    test_home.start();
    // It does not look like a token, which would be parsed each time.
    let large = "!".repeat(5 << 18);
    stored(&test_home, ONE, &large);
    let refused = store(&test_home, OTHER, &large);
    assert!(!refused.status.success(), "{}", output_text(&refused));
    assert_eq!(secret(&test_home, OTHER), None);
    restart(&test_home);
    assert!(secret(&test_home, ONE).is_some_and(|secret| secret == large), "lost");
}

#[test]
fn a_stored_login_belongs_to_the_codespace_whose_name_is_learnt_later() {
    let mut test_home = TestHome::new();
    test_home.start();
    stored(&test_home, ONE, "own");
    test_home.declare("ACME", OTHER, ("user", "declared"));
    test_home.set("CODESPACE_NAME", "one");
    test_home.sync();
    assert_eq!(secret(&test_home, ONE).as_deref(), Some("own"), "the name became known");
    restart(&test_home);
    assert_eq!(secret(&test_home, ONE).as_deref(), Some("own"), "stored before it was known");

    test_home.set("CODESPACE_NAME", "two");
    test_home.sync();
    assert_eq!(secret(&test_home, ONE), None, "another codespace");
    succeed(&mut test_home.agent(&["stop"]));
    let file = fs::read_to_string(logins_file(&test_home)).unwrap_or_default();
    assert!(!file.contains("own"), "{file}");
}

/// The same home with another socket, as in another container.
fn in_other_container(test_home: &TestHome, mut command: Command) -> Command {
    command.env("REGISTRY_AGENT_SOCKET", test_home.path("other.sock"));
    command
}

#[test]
fn containers_with_the_same_home_keep_each_others_logins_and_entries() {
    let test_home = TestHome::new();
    let other = |arguments: &[&str]| in_other_container(&test_home, test_home.agent(arguments));
    let declare = |mut command: Command, server: &str| {
        for (suffix, value) in [("SERVER", server), ("USER", "u"), ("PASSWORD", "p")] {
            command.env(format!("ACME_CONTAINER_REGISTRY_{suffix}"), value);
        }
        command
    };
    succeed(&mut declare(test_home.agent(&["start"]), "127.0.0.1:3"));
    succeed(&mut declare(other(&["start"]), "127.0.0.1:4"));
    stored(&test_home, ONE, "first");
    let mut helper = in_other_container(
        &test_home,
        test_home.command(env!("CARGO_BIN_EXE_docker-credential-registry-agent")),
    );
    let output = run_with_input(helper.arg("store"), &login(OTHER, "second"));
    assert!(output.status.success(), "{}", output_text(&output));
    stored(&test_home, "127.0.0.1:5", "third");
    succeed(&mut test_home.agent(&["stop"]));
    succeed(&mut other(&["stop"]));

    succeed(&mut other(&["start"]));
    for (server, secret) in [(ONE, "first"), (OTHER, "second"), ("127.0.0.1:5", "third")] {
        let mut helper = in_other_container(
            &test_home,
            test_home.command(env!("CARGO_BIN_EXE_docker-credential-registry-agent")),
        );
        let output = run_with_input(helper.arg("get"), server);
        assert_eq!(credential(&output), Some(("own".to_owned(), secret.to_owned())), "{server}");
    }
    succeed(&mut other(&["stop"]));
    let config = fs::read(test_home.path(".docker/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let keys: Vec<_> = config["credHelpers"].as_object().unwrap().keys().collect();
    assert_eq!(keys, [ONE, OTHER, "127.0.0.1:5"], "what neither declares any more is removed");
}
