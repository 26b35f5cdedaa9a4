//! The docker configuration on a file system that is frozen or full, under a running agent.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use registry_agent::adapters::clock::pause;
use serde_json::Value;

use crate::support::mounts::{Freezable, Mounted};
use crate::support::test_home::{TestHome, output_text, succeed};

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";
const OTHER: &str = "127.0.0.1:2";
const LOGIN: (&str, &str) = ("user", "secret");

/// A home whose `.docker` leads onto the file system that is mounted at `disk`.
fn home_on_disk() -> TestHome {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", SERVER, LOGIN);
    symlink("disk/docker", test_home.path(".docker")).unwrap();
    test_home
}

fn codes(test_home: &TestHome) -> Vec<String> {
    let problems = test_home.status()["problems"].clone();
    let code = |problem: &Value| problem["code"].as_str().unwrap().to_owned();
    problems.as_array().unwrap().iter().map(code).collect()
}

fn helper_of(config: &Path, server: &str) -> Value {
    let config: Value = serde_json::from_slice(&fs::read(config).unwrap()).unwrap();
    config["credHelpers"][server].clone()
}

/// Far more than is needed, for a machine that is busy.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        pause(Duration::from_millis(50));
    }
}

#[test]
fn a_frozen_docker_configuration_keeps_no_command_waiting_and_is_a_problem_of_its_own() {
    let mut test_home = home_on_disk();
    let config = test_home.path("disk/docker/config.json");
    let disk = Freezable::ext4(&test_home.path("disk"));
    disk.freeze();
    test_home.start();
    let known = Some((LOGIN.0.to_owned(), LOGIN.1.to_owned()));
    assert_eq!(test_home.credential(SERVER), known, "after start");
    assert_eq!(codes(&test_home), ["docker-config-hangs"]);
    let named = test_home.problems(test_home.path(".docker/config.json").to_str().unwrap());
    assert_eq!(named.len(), 1, "{:#}", test_home.status());

    test_home.declare("OTHER", OTHER, LOGIN);
    test_home.sync_in_vain();
    assert_eq!(test_home.credential(OTHER), known, "after sync");
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(test_home.credential(SERVER), known);
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(!config.exists(), "it was frozen all the time");

    disk.thaw();
    eventually("the newest wish is published", || config.exists());
    eventually("the problem ends", || codes(&test_home).is_empty());
    assert_eq!(helper_of(&config, OTHER), "registry-agent");
    succeed(&mut test_home.agent(&["stop"]));
    drop((test_home, disk));
}

#[test]
fn stop_ends_while_the_docker_configuration_is_frozen() {
    let test_home = home_on_disk();
    let disk = Freezable::ext4(&test_home.path("disk"));
    disk.freeze();
    test_home.start();
    let begin = Instant::now();
    let stopped = test_home.agent(&["stop"]).output().unwrap();
    assert!(stopped.status.success(), "{}", output_text(&stopped));
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    assert_eq!(test_home.exit_of(&["status"]), 4, "no agent");
    drop(disk);
}

#[test]
fn an_entry_that_is_dropped_while_the_disk_is_full_is_put_back_soon_after_there_is_room() {
    let test_home = home_on_disk();
    // The agent's own state fills up as well.
    symlink("disk/local", test_home.path(".local")).unwrap();
    let config = test_home.path("disk/docker/config.json");
    let disk = Mounted::tmpfs(&test_home.path("disk"), "64k");
    test_home.start();
    assert_eq!(helper_of(&config, SERVER), "registry-agent");
    let filler = disk.fill();
    // In place, and shorter, so that it needs no room.
    fs::write(&config, "{}").unwrap();
    eventually("the full disk is a problem", || codes(&test_home) == ["docker-config-no-room"]);
    assert_eq!(test_home.credential(SERVER), Some((LOGIN.0.to_owned(), LOGIN.1.to_owned())));
    pause(Duration::from_secs(4));
    fs::remove_file(filler).unwrap();
    eventually("the entry is put back", || helper_of(&config, SERVER) == "registry-agent");
    eventually("the problem ends", || codes(&test_home).is_empty());
    succeed(&mut test_home.agent(&["stop"]));
    drop((test_home, disk));
}
