//! An agent and a program of different versions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::support::processes::only_pair;
use crate::support::test_home::{TestHome, output_text, succeed};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const OLD_VERSION: &str = "0.0.9";
const STARTED: &str = "127.0.0.1:1";
const PUSHED: &str = "127.0.0.2:1";

#[test]
fn start_replaces_an_agent_of_another_version_which_loses_nothing() {
    let mut test_home = TestHome::new();
    let old = old_program(&test_home);
    test_home.declare("STARTED", STARTED, ("user", "started"));
    succeed(test_home.with_declared(test_home.command(&old)).arg("start"));
    test_home.declare_anew("STARTED", PUSHED, ("user", "pushed"));
    test_home.sync();
    assert_eq!(test_home.status()["version"], OLD_VERSION);
    let remark = test_home.agent(&["check"]).output().unwrap();
    let remark = output_text(&remark);
    assert!(remark.contains(&format!("version {OLD_VERSION}")), "{remark}");
    assert!(remark.contains("fix: run `registry-agent start`"), "{remark}");

    let replaced = output_text(&succeed(&mut test_home.agent(&["start"])));
    assert!(replaced.contains("it was replaced and lost nothing"), "{replaced}");
    assert_eq!(test_home.status()["version"], VERSION);
    only_pair(&test_home.lock());
    let pushed = Some(("user".to_owned(), "pushed".to_owned()));
    assert_eq!(test_home.credential(PUSHED), pushed);

    // What `start` found below the push is known too.
    test_home.declare_anew("STARTED", "", ("", ""));
    test_home.declare("OTHER", "127.0.0.3:1", ("user", "other"));
    test_home.sync();
    let started = Some(("user".to_owned(), "started".to_owned()));
    assert_eq!(test_home.credential(STARTED), started);

    let again = output_text(&succeed(&mut test_home.agent(&["start"])));
    assert!(!again.contains("replaced"), "{again}");
}

/// This program as an older version of itself.
fn old_program(test_home: &TestHome) -> PathBuf {
    let mut program = fs::read(env!("CARGO_BIN_EXE_registry-agent")).unwrap();
    let (new, old) = (VERSION.as_bytes(), OLD_VERSION.as_bytes());
    assert_eq!(new.len(), old.len());
    let places: Vec<usize> = program
        .windows(new.len())
        .enumerate()
        .filter(|(_, at)| *at == new)
        .map(|(at, _)| at)
        .collect();
    for at in places {
        program[at..at + old.len()].copy_from_slice(old);
    }
    let path = test_home.path("old-registry-agent");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}
