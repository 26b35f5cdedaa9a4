//! Faults of the agent and its supervisor.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use registry_agent::adapters::clock;

use crate::soak::schedule::{Fault, Step};
use crate::soak::world::{Right, SYNCED_ONLY, World, pause};
use crate::support::processes::{Pair, Process, fds, holders, kill_9, only_pair, wait_until};
use crate::support::test_home::output_text;

pub(super) fn run(world: &World, step: &Step) {
    let lock = world.home.lock();
    if step.fault == Fault::KillBoth {
        return kill_both(world, step.choice);
    }
    let pair = only_pair(&lock);
    match step.fault {
        Fault::KillAgent => kill_9(&pair.agent),
        Fault::KillSupervisor => kill_9(&pair.supervisor),
        Fault::KillOneThenTheOther => {
            kill_9(&pair.supervisor);
            // Alone, the agent could leave nothing to anybody.
            let replaces = |process: &Process| process.parent == pair.agent.pid;
            wait_until("no agent follows", || holders(&lock).iter().any(replaces));
            kill_9(&pair.agent);
        }
        Fault::KillAgentRepeatedly => {
            for _ in 0..5 {
                kill_9(&only_pair(&lock).agent);
                pause(40);
            }
        }
        Fault::StopAgent => stop(&[&pair.agent], step.lasts),
        Fault::StopSupervisor => stop(&[&pair.supervisor], step.lasts),
        Fault::StopBoth => stop(&[&pair.supervisor, &pair.agent], step.lasts),
        Fault::StopBothForLong => {
            let mut stopped = world.stopped.lock().unwrap();
            let index = stopped.len();
            stopped.push((Instant::now(), None));
            drop(stopped);
            stop(&[&pair.supervisor, &pair.agent], step.lasts);
            world.stopped.lock().unwrap()[index].1 = Some(Instant::now());
        }
        Fault::Reload => signal(&pair.supervisor, Signal::SIGHUP),
        Fault::RemoveSocket => fs::remove_file(world.home.path("agent.sock")).unwrap(),
        Fault::NoDescriptorsLeft => without_descriptors(&pair, step.lasts),
        fault => panic!("{fault:?} is no fault of a process"),
    }
}

/// Everything in memory is gone, so nobody may be in the middle of a change or a question.
fn kill_both(world: &World, choice: usize) {
    let nobody_asks = world.memory.write().unwrap();
    let pair = only_pair(&world.home.lock());
    kill_9(&pair.supervisor);
    kill_9(&pair.agent);
    // An agent that notices the death of its supervisor may have started another one by then.
    wait_until("they do not end", || {
        let left = holders(&world.home.lock());
        left.iter().for_each(kill_9);
        left.is_empty()
    });
    for account in &world.accounts {
        if let Right::Token(served) = &account.truth {
            served.lock().unwrap().clear();
        }
    }
    if choice.is_multiple_of(2) {
        let output = world.home.agent(&["sync"]).envs(world.environment()).output().unwrap();
        assert!(output.status.success(), "{}", output_text(&output));
    } else {
        // The next helper starts an agent, and does not know what only `sync` has sent.
        let account = world.account(SYNCED_ONLY);
        world.set_declared(account, None);
        account.password().begin(None);
        account.password().confirm();
    }
    drop(nobody_asks);
}

fn stop(processes: &[&Process], lasts: Duration) {
    for process in processes {
        signal(process, Signal::SIGSTOP);
    }
    clock::pause(lasts);
    for process in processes {
        signal(process, Signal::SIGCONT);
    }
}

/// The agent may open no file and accept no connection.
fn without_descriptors(pair: &Pair, lasts: Duration) {
    let pid = pair.agent.pid;
    let before = nofile(pid, "SOFT");
    prlimit(pid, &fds(pid).len().to_string());
    clock::pause(lasts);
    prlimit(pid, &before);
}

fn nofile(pid: i32, which: &str) -> String {
    let mut command = Command::new("prlimit");
    command.arg(format!("--pid={pid}")).args(["--nofile", "--noheadings"]);
    let output = command.arg(format!("--output={which}")).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn prlimit(pid: i32, soft: &str) {
    // It may have ended.
    let mut command = Command::new("prlimit");
    let _ = command.arg(format!("--pid={pid}")).arg(format!("--nofile={soft}:")).output().unwrap();
}

fn signal(process: &Process, signal: Signal) {
    let _ = kill(Pid::from_raw(process.pid), signal);
}
