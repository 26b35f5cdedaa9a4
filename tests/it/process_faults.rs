//! Faults around the processes that must cost neither the state nor the service: a removed socket, an
//! ignored signal, no processes or memory left, a lock that was removed.

use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::processes::{
    Pair, Process, holders, is_alive, kill_9, only_pair, send, wait_until,
};
use crate::support::test_home::{TestHome, succeed};

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";
const AGENT: &str = env!("CARGO_BIN_EXE_registry-agent");
const NOBODY: u32 = 65534;

#[test]
fn an_agent_whose_supervisor_died_while_it_recreated_the_socket_is_reachable_again() {
    let (test_home, pair) = pushed();
    let socket = test_home.path("agent.sock");
    // The agent does not hear of the new socket before its supervisor is dead.
    send(pair.agent.pid, Signal::SIGSTOP);
    fs::remove_file(&socket).unwrap();
    wait_until("the socket is not made again", || {
        log(&test_home).contains("the socket or the lock was removed; recreated")
    });
    kill_9(&pair.supervisor);
    wait_until("the supervisor is left", || !is_alive(pair.supervisor.pid));
    send(pair.agent.pid, Signal::SIGCONT);
    assert_served(&test_home);
}

#[test]
fn an_agent_that_dies_is_replaced_although_its_starter_ignored_the_signals_of_children() {
    let mut test_home = TestHome::new();
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    let mut sync = test_home.command("bash");
    sync.args(["-c", "trap '' CHLD; exec \"$0\" sync", AGENT]);
    succeed(&mut test_home.with_declared(sync));
    let pair = only_pair(&test_home.lock());
    kill_9(&pair.agent);
    assert_served(&test_home);
    assert_eq!(only_pair(&test_home.lock()).supervisor, pair.supervisor);
}

#[test]
fn an_agent_whose_supervisor_died_keeps_the_state_until_a_process_can_be_started() {
    let test_home = TestHome::new();
    let lock = test_home.lock();
    chown(test_home.path(""), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::copy(AGENT, test_home.path("registry-agent")).unwrap();
    let as_nobody = |verb: &str| {
        let mut command = test_home.command("setpriv");
        let id = NOBODY.to_string();
        command.args([&format!("--reuid={id}"), &format!("--regid={id}"), "--clear-groups"]);
        command.arg(test_home.path("registry-agent")).arg(verb);
        command
    };
    let variables =
        ["SERVER", "USER", "PASSWORD"].map(|it| format!("KEPT_CONTAINER_REGISTRY_{it}"));
    let values = variables.iter().zip([SERVER, "user", "pushed"]);
    succeed(as_nobody("sync").envs(values));
    // A request in progress would need a thread.
    as_nobody("wait").output().unwrap();
    let pair = only_pair(&lock);
    limit(pair.agent.pid, "nproc", "1");
    kill_9(&pair.supervisor);
    wait_until("the agent does not become the supervisor", || {
        let is_it =
            |process: &Process| process.pid == pair.agent.pid && process.role == "supervise";
        holders(&lock).iter().any(is_it)
    });
    lift_limit(pair.agent.pid, "nproc");
    assert_eq!(only_pair(&lock).supervisor.pid, pair.agent.pid);
    let mut get = as_nobody("export");
    let exported = succeed(get.arg("docker-config"));
    // The password in the entry of `auths`: base64 of `user:pushed`.
    assert!(String::from_utf8(exported.stdout).unwrap().contains("dXNlcjpwdXNoZWQ="));
    succeed(&mut as_nobody("stop"));
    fs::remove_dir_all(lock).unwrap();
}

#[test]
fn a_state_that_could_not_be_written_reaches_the_supervisor_once_it_can() {
    let mut test_home = TestHome::new();
    // Whoever writes more than is allowed is signalled too.
    let mut start = test_home.command("sh");
    start.args(["-c", "trap '' XFSZ; exec \"$0\" start", AGENT]);
    succeed(&mut start);
    let pair = only_pair(&test_home.lock());
    limit(pair.agent.pid, "fsize", "1");
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync_in_vain();
    lift_limit(pair.agent.pid, "fsize");
    wait_until("the supervisor does not receive the state", || {
        memories_of(pair.supervisor.pid).contains("PUSHED_CONTAINER_REGISTRY_PASSWORD")
    });
    kill_9(&pair.agent);
    assert_served(&test_home);
}

#[test]
fn an_agent_that_is_displaced_by_a_run_gives_it_what_was_pushed() {
    let (test_home, pair) = pushed();
    let lock = test_home.lock();
    send(pair.supervisor.pid, Signal::SIGSTOP);
    fs::remove_dir_all(&lock).unwrap();
    fs::remove_file(test_home.path("agent.sock")).unwrap();
    let mut service = test_home.agent(&["run"]).spawn().unwrap();
    wait_until("`run` does not serve", || only_pair(&lock).supervisor.role == "run");
    let new = only_pair(&lock);
    test_home.exit_of(&["wait"]);
    send(pair.supervisor.pid, Signal::SIGCONT);
    wait_until("the displaced agent does not end", || {
        !is_alive(pair.supervisor.pid) && !is_alive(pair.agent.pid)
    });
    assert_served(&test_home);
    assert_eq!(only_pair(&lock).supervisor, new.supervisor);
    assert!(!lock.join("replaceable").exists(), "the service counts as replaceable");
    assert_eq!(test_home.exit_of(&["stop"]), 0);
    assert!(service.wait().unwrap().success());
}

/// A home whose agent only a push told of its login.
fn pushed() -> (TestHome, Pair) {
    let mut test_home = TestHome::new();
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync();
    let pair = only_pair(&test_home.lock());
    (test_home, pair)
}

fn assert_served(test_home: &TestHome) {
    let pushed = Some(("user".to_owned(), "pushed".to_owned()));
    assert_eq!(test_home.credential(SERVER), pushed);
}

/// Limits a resource of another process.
fn limit(pid: i32, resource: &str, value: &str) {
    succeed(prlimit(pid).arg(format!("--{resource}={value}:")));
}

/// Raises the limit as far as possible.
fn lift_limit(pid: i32, resource: &str) {
    let mut get = prlimit(pid);
    get.args([&format!("--{resource}"), "--output=HARD", "--noheadings"]);
    let hard = String::from_utf8(succeed(&mut get).stdout).unwrap();
    limit(pid, resource, hard.trim());
}

/// Only the user of a process may change its limits, in a container even if others are root.
fn prlimit(pid: i32) -> Command {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let id = |name| {
        let ids = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        ids.split_whitespace().next().unwrap().to_owned()
    };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={}", id("Uid:"))).arg(format!("--regid={}", id("Gid:")));
    command.args(["--clear-groups", "prlimit", &format!("--pid={pid}")]);
    command
}

/// What a process holds in memfds.
fn memories_of(pid: i32) -> String {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let memfds = entries.map(|entry| entry.path()).filter(|fd| {
        fs::read_link(fd).is_ok_and(|target| target.starts_with("/memfd:registry-agent (deleted)"))
    });
    memfds.filter_map(|fd| fs::read(fd).ok()).map(|it| String::from_utf8(it).unwrap()).collect()
}

fn log(test_home: &TestHome) -> String {
    fs::read_to_string(test_home.path(".local/state/registry-agent/agent.log")).unwrap()
}
