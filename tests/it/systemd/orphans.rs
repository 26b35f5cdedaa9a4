//! systemd asks every process of a service to end, once, also one that is about to execute itself again.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use registry_agent::adapters::clock;

use crate::support::processes::{holders, kill_9, only_pair, send, wait_until};
use crate::support::test_home::TestHome;

#[test]
fn an_agent_whose_supervisor_was_killed_ends_when_asked() {
    for round in 0..40 {
        let test_home = TestHome::new();
        let lock = test_home.lock();
        let mut service = test_home.agent(&["run"]).spawn().unwrap();
        let pair = only_pair(&lock);
        kill_9(&pair.supervisor);
        // Meanwhile it starts the next agent and executes itself as its supervisor.
        clock::pause(Duration::from_micros(fastrand::u64(..10_000)));
        send(pair.agent.pid, Signal::SIGTERM);
        service.wait().unwrap();
        wait_until(&format!("it stays, in round {round}"), || holders(&lock).is_empty());
    }
}

#[test]
fn an_agent_that_is_asked_to_reload_ends_when_asked() {
    for round in 0..10 {
        let test_home = TestHome::new();
        let log = test_home.path("run.log");
        let mut service = test_home.agent(&["run"]);
        let mut service = service.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        let pair = only_pair(&test_home.lock());
        assert_eq!(test_home.exit_of(&["wait"]), 0);
        send(pair.agent.pid, Signal::SIGSTOP);
        send(pair.supervisor.pid, Signal::SIGHUP);
        // The supervisor passes the request to reload on before it is asked to stop.
        wait_until("the supervisor does not read the signal", || {
            let status =
                fs::read_to_string(format!("/proc/{}/status", pair.supervisor.pid)).unwrap();
            status.lines().any(|line| line.starts_with("ShdPnd:") && line.ends_with("0000"))
                && status.lines().any(|line| line.starts_with("State:\tS"))
        });
        send(pair.supervisor.pid, Signal::SIGTERM);
        assert!(service.wait().unwrap().success(), "a stop is no failure");
        let log = fs::read_to_string(&log).unwrap();
        assert!(!log.contains("killed"), "round {round}: {log}");
    }
}
