//! The log: its lines, and how it stays small; on a frozen disk, and in a pipe that nobody reads.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::support::mounts::Freezable;
use serde_json::Value;

use crate::support::processes::{kill_9, only_pair, wait_until};
use crate::support::test_home::{TestHome, succeed};

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";

fn log_of(test_home: &TestHome) -> String {
    fs::read_to_string(test_home.path(".local/state/registry-agent/agent.log")).unwrap()
}

fn configure(test_home: &TestHome, config: &str) {
    let dir = test_home.path(".config/registry-agent");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("config.toml"), config).unwrap();
}

/// The log of an agent whose login is unreachable, and which is killed once and then stopped.
fn log_of_a_killed_agent(test_home: &mut TestHome) -> String {
    test_home.declare("ACME", SERVER, ("user", "password"));
    test_home.start();
    test_home.exit_of(&["wait"]);
    kill_9(&only_pair(&test_home.lock()).agent);
    wait_until("the agent does not come back", || test_home.credential(SERVER).is_some());
    succeed(&mut test_home.agent(&["stop"]));
    log_of(test_home)
}

#[test]
fn each_line_is_a_time_a_level_and_a_sentence_that_begins_with_its_subject() {
    let mut test_home = TestHome::new();
    let log = log_of_a_killed_agent(&mut test_home);
    for line in log.lines() {
        let [time, level, sentence] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        assert!(time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z'), "{line}");
        assert!(["INFO", "WARN"].contains(&level), "{line}");
        assert!(!sentence.contains("registry_agent::") && !sentence.contains("event="), "{line}");
    }
    let is_there = |sentence: &str| log.lines().any(|line| line.contains(sentence));
    assert!(is_there(&format!(" INFO {SERVER} is unreachable (was pending)")), "{log}");
    assert!(is_there(" WARN the agent was killed by signal "), "{log}");
}

#[test]
fn with_a_log_format_of_json_each_line_is_a_document() {
    let mut test_home = TestHome::new();
    configure(&test_home, "log_format = \"json\"\n");
    let log = log_of_a_killed_agent(&mut test_home);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let complete = |line: &&Value| ["at", "level", "message"].iter().all(|it| line[it].is_string());
    assert_eq!(lines.iter().filter(complete).count(), lines.len(), "{log}");
    let event = lines.iter().find(|line| line["event"] == "unreachable").expect(&log);
    assert_eq!((&event["level"], &event["subject"]), (&"info".into(), &SERVER.into()), "{log}");
    assert!(lines.iter().any(|line| line["level"] == "warn"), "{log}");
}

/// What `run` writes to a file that the journal reads, if `is_journal` says so.
fn log_of_run(is_journal: bool) -> String {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", SERVER, ("user", "password"));
    let path = test_home.path("stderr");
    let stderr = File::create(&path).unwrap();
    let found = stderr.metadata().unwrap();
    let inode = if is_journal { found.ino() } else { found.ino() + 1 };
    let mut run = test_home.with_declared(test_home.agent(&["run"]));
    run.env("JOURNAL_STREAM", format!("{}:{inode}", found.dev()));
    let mut run = run.stderr(stderr).spawn().unwrap();
    wait_until("`run` does not answer", || test_home.credential(SERVER).is_some());
    test_home.exit_of(&["wait"]);
    kill_9(&only_pair(&test_home.lock()).agent);
    wait_until("the agent does not come back", || test_home.credential(SERVER).is_some());
    succeed(&mut test_home.agent(&["stop"]));
    run.wait().unwrap();
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_journal_gets_the_priority_of_each_line() {
    let log = log_of_run(true);
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
    assert!(log.contains(&format!("<6>{SERVER} is unreachable (was pending)")), "{log}");
    assert!(log.contains("<4>the agent was killed by signal "), "{log}");
    let log = log_of_run(false);
    assert!(!log.contains('<') && log.contains(" WARN the agent was killed by signal "), "{log}");
}

#[test]
fn the_log_stays_below_its_limit_while_the_agent_keeps_dying() {
    const LIMIT: u64 = 4 << 20;
    let test_home = TestHome::new();
    test_home.start();
    let path = test_home.path(".local/state/registry-agent/agent.log");
    for _ in 0..3 {
        let mut log = OpenOptions::new().append(true).open(&path).unwrap();
        log.write_all(&vec![b'\n'; 3 << 20]).unwrap();
        let pair = only_pair(&test_home.lock());
        kill_9(&pair.agent);
        wait_until("no other agent starts", || only_pair(&test_home.lock()).agent != pair.agent);
        wait_until("the log exceeds its limit", || fs::metadata(&path).unwrap().len() < LIMIT);
    }
    assert!(log_of(&test_home).contains("the agent was killed by signal"));
}

/// Repeatedly changes the login, which the agent logs, and asks for it each time.
fn change_and_ask(test_home: &mut TestHome) {
    for number in 0..5 {
        let password = format!("password{number}");
        test_home.declare_anew("ACME", SERVER, ("user", &password));
        test_home.sync();
        assert_eq!(test_home.credential(SERVER), Some(("user".to_owned(), password)));
    }
}

#[test]
fn a_get_is_answered_while_the_disk_of_the_log_is_frozen() {
    let mut test_home = TestHome::new();
    fs::create_dir_all(test_home.path(".local/state")).unwrap();
    symlink("../../disk/state", test_home.path(".local/state/registry-agent")).unwrap();
    let disk = Freezable::ext4(&test_home.path("disk"));
    fs::create_dir(test_home.path("disk/state")).unwrap();
    test_home.set("REGISTRY_AGENT_LOG", "trace");
    test_home.declare("ACME", SERVER, ("user", "first"));
    test_home.start();
    disk.freeze();
    change_and_ask(&mut test_home);
    disk.thaw();
    let log = test_home.path("disk/state/agent.log");
    let changes = || fs::read_to_string(&log).unwrap().matches(" was changed by ").count();
    wait_until("what was logged meanwhile is not written", || changes() >= 5);
    succeed(&mut test_home.agent(&["stop"]));
    drop((test_home, disk));
}

#[test]
fn a_get_is_answered_while_nobody_reads_the_log() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", SERVER, ("user", "first"));
    let (_reader, mut writer) = std::io::pipe().unwrap();
    fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let mut run = test_home.with_declared(test_home.agent(&["run"]));
    let mut run = run.stderr(OwnedFd::from(writer)).spawn().unwrap();
    wait_until("`run` does not answer", || test_home.credential(SERVER).is_some());
    change_and_ask(&mut test_home);
    succeed(&mut test_home.agent(&["stop"]));
    run.wait().unwrap();
}
