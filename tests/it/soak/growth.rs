//! Memory, descriptors and files of the product at each rest, held against the first one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::world::{World, pause};
use crate::support::processes::{fds, only_pair, zombies_of};

/// What was measured at the first rest.
#[derive(Default)]
pub(super) struct Growth {
    first: Option<Descriptors>,
    files: BTreeSet<String>,
    /// Processes and their private memory in KiB at the first rest that they lived to see.
    memory: Vec<(i32, u64)>,
}

type Descriptors = [usize; 2];

/// Connections of the clients that go on asking.
const CONNECTIONS: usize = 8;
/// Caches and fragments: what grows with each round passes this soon.
const SLACK_KIB: u64 = 12 * 1024;

impl Growth {
    /// Measures during a rest. Memory counts while the processes stay the same.
    pub(super) fn measure(&mut self, world: &World, keeps_processes: bool) {
        reap();
        let pair = only_pair(&world.home.lock());
        let pids = [pair.supervisor.pid, pair.agent.pid];
        let first = *self.first.get_or_insert_with(|| pids.map(|pid| fds(pid).len()));
        if self.files.is_empty() {
            self.files = files(&world.home.path(""));
            // Written by the first `docker login`, by a helper that starts an agent, and by the test home.
            let names =
                [".local/state/registry-agent/logins.json", "agent.sock.lock/replaceable", "asked"];
            for name in names {
                self.files.insert(world.home.path(name).display().to_string());
            }
        }
        let mut new = BTreeSet::new();
        let mut open = [0, 0];
        // Connections that the faults left open end by themselves.
        for _ in 0..600 {
            open = pids.map(|pid| fds(pid).len());
            new = &files(&world.home.path("")) - &self.files;
            let is_small = open[0] <= first[0] + 2 && open[1] <= first[1] + CONNECTIONS;
            if is_small && new.is_empty() {
                break;
            }
            pause(100);
        }
        if open[0] > first[0] + 2 || open[1] > first[1] + CONNECTIONS {
            world.tally.growth(format!("descriptors: {first:?}, then {open:?}"));
        }
        if !new.is_empty() {
            world.tally.growth(format!("files: {new:?}"));
        }
        for pid in pids.into_iter().filter(|_| keeps_processes) {
            let now = private_memory(pid);
            match self.memory.iter().find(|(known, _)| *known == pid) {
                Some((_, then)) if now > then * 3 / 2 + SLACK_KIB => {
                    world.tally.growth(format!("memory: {then} KiB, then {now} KiB"));
                }
                Some(_) => {}
                None => self.memory.push((pid, now)),
            }
        }
        world.tally.size(open, pids.map(private_memory));
    }
}

/// Ends the zombies of killed agents and supervisors, whose parents died before them.
fn reap() {
    for pid in zombies_of(Pid::this().as_raw()) {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim() == "registry-agent" {
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}

fn private_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// All files below a directory.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        // It may have been removed.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            found.insert(entry.path().display().to_string());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
        }
    }
    found
}
