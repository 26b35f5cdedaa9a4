//! Sources that do not answer, or not with anything whole: nobody waits for them, nothing is lost.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use registry_agent::adapters::clock::pause;
use serde_json::json;

use super::followed::{Followed, LIMIT, PASSWORD};
use crate::support::processes::{kill_9, only_pair};
use crate::support::test_home::{TestHome, output_text, succeed};
use crate::support::unresponsive_mount::UnresponsiveMount;

/// Nothing listens on these ports, so the logins are unreachable immediately, and served.
const FIRST: &str = "127.0.0.1:1";
const SECOND: &str = "127.0.0.1:2";
/// Far less than anybody waits who waits for a file system, and far more than an answer takes.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A home whose agent has these sources.
fn home(sources: &[&str]) -> TestHome {
    let test_home = TestHome::new();
    let paths: Vec<PathBuf> = sources.iter().map(|name| test_home.path(name)).collect();
    fs::create_dir_all(test_home.path(".config/registry-agent")).unwrap();
    let config = format!("sources = {paths:?}\n");
    fs::write(test_home.path(".config/registry-agent/config.toml"), config).unwrap();
    test_home
}

fn set(name: &str, server: &str, password: &str) -> String {
    let prefix = format!("{name}_CONTAINER_REGISTRY");
    format!("{prefix}_SERVER={server}\n{prefix}_USER=user\n{prefix}_PASSWORD={password}\n")
}

fn password_of(test_home: &TestHome, server: &str) -> Option<String> {
    test_home.credential(server).map(|(_, password)| password)
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LIMIT, "{what}");
        pause(Duration::from_millis(20));
    }
}

/// The codes of the problems that the status has, each with its name.
fn codes(test_home: &TestHome) -> Vec<(String, String)> {
    let status = test_home.status();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let problems = status["problems"].as_array().unwrap().iter();
    problems.map(|problem| (text(&problem["name"]), text(&problem["code"]))).collect()
}

fn problem(path: &Path, code: &str) -> (String, String) {
    (path.display().to_string(), code.to_owned())
}

#[test]
fn a_directory_that_never_answers_keeps_nobody_waiting() {
    let mut test_home = home(&["dead", "env"]);
    let dead = test_home.path("dead");
    fs::create_dir(&dead).unwrap();
    fs::write(test_home.path("env"), set("FIRST", FIRST, "one")).unwrap();
    let mount = UnresponsiveMount::new(&dead);

    let begin = Instant::now();
    test_home.start();
    assert!(begin.elapsed() < Duration::from_secs(10), "start took {:?}", begin.elapsed());
    assert!(codes(&test_home).contains(&problem(&dead, "file-hangs")));
    assert_eq!(test_home.status()["settled"], true);
    let begin = Instant::now();
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("one"));
    assert!(begin.elapsed() < AT_ONCE, "get took {:?}", begin.elapsed());

    // The other sources are followed as ever.
    fs::write(test_home.path("env"), set("FIRST", FIRST, "two")).unwrap();
    until("the other source is not read", || {
        password_of(&test_home, FIRST).as_deref() == Some("two")
    });
    test_home.declare("SECOND", SECOND, ("user", "pushed"));
    assert_eq!(test_home.sync(), "added SECOND");
    assert_eq!(password_of(&test_home, SECOND).as_deref(), Some("pushed"));

    // Neither does a new agent wait, nor a stop.
    kill_9(&only_pair(&test_home.lock()).agent);
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("two"));
    assert_eq!(password_of(&test_home, SECOND).as_deref(), Some("pushed"));
    succeed(&mut test_home.agent(&["stop"]));
    drop(mount);
}

#[test]
fn a_directory_that_stops_answering_keeps_its_values_until_it_answers_again() {
    let test_home = home(&["source"]);
    for (dir, password) in [("alive", "one"), ("dead", "two")] {
        fs::create_dir(test_home.path(dir)).unwrap();
        for line in set("FIRST", FIRST, password).lines() {
            let (name, value) = line.split_once('=').unwrap();
            fs::write(test_home.path(dir).join(name), value).unwrap();
        }
    }
    let source = test_home.path("source");
    symlink("alive", &source).unwrap();
    test_home.start();
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("one"));

    let mount = UnresponsiveMount::new(&test_home.path("dead"));
    symlink("dead", test_home.path("new")).unwrap();
    fs::rename(test_home.path("new"), &source).unwrap();
    let expected = problem(&source, "file-hangs");
    until("the directory is no problem", || codes(&test_home).contains(&expected));
    let begin = Instant::now();
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("one"));
    assert!(begin.elapsed() < AT_ONCE, "get took {:?}", begin.elapsed());
    kill_9(&only_pair(&test_home.lock()).agent);
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("one"), "after a crash");

    drop(mount);
    until("it is not read again", || password_of(&test_home, FIRST).as_deref() == Some("two"));
    assert_eq!(codes(&test_home), []);
}

#[test]
fn a_password_file_that_never_answers_is_a_problem_of_its_declaration_alone() {
    let mut test_home = home(&[]);
    let dead = test_home.path("dead");
    fs::create_dir(&dead).unwrap();
    test_home.declare("FIRST", FIRST, ("user", "one"));
    test_home.start();
    let mount = UnresponsiveMount::new(&dead);
    test_home.set("SECOND_CONTAINER_REGISTRY_SERVER", SECOND);
    test_home.set("SECOND_CONTAINER_REGISTRY_USER", "user");
    let file = dead.join("password").display().to_string();
    test_home.set("SECOND_CONTAINER_REGISTRY_PASSWORD_FILE", &file);
    let mut sync = test_home.with_declared(test_home.agent(&["sync"])).spawn().unwrap();
    let begin = Instant::now();
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("one"));
    assert!(begin.elapsed() < AT_ONCE, "get took {:?}", begin.elapsed());
    sync.wait().unwrap();
    let codes = codes(&test_home);
    assert!(codes.contains(&("SECOND".to_owned(), "password-file".to_owned())), "{codes:?}");
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("one"));

    drop(mount);
    fs::write(dead.join("password"), "two").unwrap();
    until("the password is not read", || password_of(&test_home, SECOND).as_deref() == Some("two"));
}

#[test]
fn a_login_that_is_stored_while_a_password_file_hangs_is_served_once_that_is_said() {
    let mut test_home = home(&[]);
    let dead = test_home.path("dead");
    fs::create_dir(&dead).unwrap();
    test_home.declare("FIRST", FIRST, ("user", "declared"));
    test_home.start();
    let mount = UnresponsiveMount::new(&dead);
    let variable = |name: &str| format!("SECOND_CONTAINER_REGISTRY_{name}");
    let pushed = json!({
        variable("SERVER"): SECOND,
        variable("USER"): "user",
        variable("PASSWORD_FILE"): dead.join("password"),
    });
    let push = push(&test_home, &pushed.to_string());

    let own = json!({ "ServerURL": FIRST, "Username": "user", "Secret": "own" }).to_string();
    let stored = test_home.helper("store", &own);
    assert!(stored.status.success(), "{}", output_text(&stored));
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("own"));
    assert!(test_home.helper("erase", FIRST).status.success());
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("declared"));
    drop((mount, push));
}

/// Sends an environment and leaves the answer in the connection.
fn push(test_home: &TestHome, environment: &str) -> UnixStream {
    let mut agent = UnixStream::connect(test_home.path("agent.sock")).unwrap();
    let length = environment.len();
    let head = format!("PUT /v1/environment HTTP/1.0\r\nContent-Length: {length}\r\n\r\n");
    agent.write_all((head + environment).as_bytes()).unwrap();
    agent
}

#[test]
fn a_crash_loses_no_login_whose_file_is_cut_or_half_written() {
    let test_home = home(&["kept-open", "malformed"]);
    fs::write(test_home.path("kept-open"), set("FIRST", FIRST, "one")).unwrap();
    fs::write(test_home.path("malformed"), set("SECOND", SECOND, "two")).unwrap();
    test_home.start();
    let mut writer = File::create(test_home.path("kept-open")).unwrap();
    writer.write_all(b"FIRST_CONTAINER_REGISTRY_SERVER=1").unwrap();
    fs::write(test_home.path("malformed"), "SECOND_CONTAINER_REGISTRY_USER=\"u").unwrap();
    let malformed = problem(&test_home.path("malformed"), "file-malformed");
    let kept_open = problem(&test_home.path("kept-open"), "file-kept-open");
    until("the malformed file is no problem", || codes(&test_home).contains(&malformed));
    kill_9(&only_pair(&test_home.lock()).agent);
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("one"));
    assert_eq!(password_of(&test_home, SECOND).as_deref(), Some("two"));
    until("the malformed file is no problem", || codes(&test_home).contains(&malformed));
    until("the open file is no problem", || codes(&test_home).contains(&kept_open));
    // And once more, from what the second agent left.
    kill_9(&only_pair(&test_home.lock()).agent);
    assert_eq!(password_of(&test_home, FIRST).as_deref(), Some("one"));
    assert_eq!(password_of(&test_home, SECOND).as_deref(), Some("two"));
}

#[test]
fn start_waits_for_a_file_that_is_kept_open_but_not_for_ever() {
    let test_home = home(&["env"]);
    let mut writer = File::create(test_home.path("env")).unwrap();
    writer.write_all(set("FIRST", FIRST, "half").as_bytes()).unwrap();
    test_home.start();
    assert!(codes(&test_home).contains(&problem(&test_home.path("env"), "file-kept-open")));
    assert_eq!(test_home.status()["settled"], true);
    assert_eq!(password_of(&test_home, FIRST), None);
    drop(writer);
    until("the closed file is not read", || {
        password_of(&test_home, FIRST).as_deref() == Some("half")
    });
}

#[test]
fn a_file_that_is_kept_open_is_believed_once_it_has_stayed_as_it_is() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("env");
    let mut writer = File::create(&path).expect("a file");
    writer.write_all(format!("{PASSWORD}=one\n").as_bytes()).expect("written");
    let mut followed = Followed::new(&root.path().join("none"), std::slice::from_ref(&path));
    let expected = [(path.display().to_string(), "file-kept-open")].into();
    assert_eq!(followed.codes(), expected);
    followed.until(PASSWORD, Some("one"), &[None]);
    assert_eq!(followed.codes(), expected, "it may still be incomplete");
    drop(writer);
    while !followed.codes().is_empty() {
        followed.change();
    }
    assert_eq!(followed.get(PASSWORD).as_deref(), Some("one"));
}
