//! The supervisor and agent processes of a test home, found in `/proc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// `supervise`, `agent` or `run`.
    pub(crate) role: String,
}

/// A supervisor and its agent.
pub(crate) struct Pair {
    pub(crate) supervisor: Process,
    pub(crate) agent: Process,
}

/// Every process that holds this lock.
pub(crate) fn holders(lock: &Path) -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| {
        let role = role(pid)?;
        let holds = fds(pid).iter().any(|target| target == lock);
        holds.then(|| Some(Process { pid, parent: parent(pid)?, role })).flatten()
    })
    .collect()
}

/// Waits until there is exactly one supervisor and one agent, its child.
pub(crate) fn only_pair(lock: &Path) -> Pair {
    let begin = Instant::now();
    loop {
        let found = holders(lock);
        if let [one, other] = &found[..] {
            let (supervisor, agent) = if one.role == "agent" { (other, one) } else { (one, other) };
            // An agent that replaces its supervisor has an agent before it becomes a supervisor.
            let roles = (supervisor.role != "agent", agent.role == "agent");
            if roles == (true, true) && agent.parent == supervisor.pid {
                return Pair { supervisor: supervisor.clone(), agent: agent.clone() };
            }
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "not one pair but {found:?}");
        registry_agent::adapters::clock::pause(Duration::from_millis(5));
    }
}

/// Whether a process of this ID exists.
pub(crate) fn is_alive(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Waits until `done` returns true, and fails with `otherwise` if it never does.
pub(crate) fn wait_until(otherwise: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{otherwise}");
        registry_agent::adapters::clock::pause(Duration::from_millis(5));
    }
}

/// Kills a process, which may have ended already.
pub(crate) fn kill_9(process: &Process) {
    let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
}

/// The targets of the descriptors of a process.
pub(crate) fn fds(pid: i32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
}

/// The children of a process that run this command of the product.
pub(crate) fn children_of(parent_pid: i32, command: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| {
        parent(pid) == Some(parent_pid)
            && fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.split(|&byte| byte == 0).nth(1) == Some(command.as_bytes()))
    })
    .collect()
}

/// How many children a process has, zombies included.
pub(crate) fn count_children(parent_pid: i32) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| parent(pid) == Some(parent_pid)).count()
}

/// The zombie children of a process.
pub(crate) fn zombies_of(parent_pid: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| {
        stat(pid).is_some_and(|(state, parent)| state == "Z" && parent == parent_pid)
    })
    .collect()
}

fn role(pid: i32) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|&byte| byte == 0);
    let program = String::from_utf8_lossy(words.next()?);
    let role = String::from_utf8_lossy(words.next()?).into_owned();
    let ours = program.ends_with("registry-agent");
    (ours && ["supervise", "agent", "run"].contains(&role.as_str())).then_some(role)
}

fn parent(pid: i32) -> Option<i32> {
    stat(pid).map(|(_, parent)| parent)
}

/// The state and the parent process.
fn stat(pid: i32) -> Option<(String, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = text.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}
