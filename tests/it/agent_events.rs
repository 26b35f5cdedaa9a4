//! The events of the agent itself: that it started, why it started again, and that it stopped.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::processes::{kill_9, only_pair, wait_until};
use crate::support::test_home::{TestHome, output_text, succeed};

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

/// The events about the agent: the identifier and the sentence of each.
fn of_the_agent(test_home: &TestHome) -> Vec<(String, String)> {
    let printed = output_text(&succeed(&mut test_home.agent(&["events", "--json"])));
    let text = |event: &Value, member: &str| event[member].as_str().unwrap().to_owned();
    printed
        .lines()
        .map(parsed)
        .filter(|event| event["subject"] == "agent")
        .map(|event| (text(&event, "event"), text(&event, "detail")))
        .collect()
}

fn started(why: &str) -> (String, String) {
    ("agent-started".to_owned(), format!("the agent started{why}"))
}

#[test]
fn each_start_of_the_agent_is_an_event_with_what_happened_to_the_one_before() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", ("user", "password"));
    test_home.sync();
    let lock = test_home.lock();
    let mut expected = vec![started("")];
    assert_eq!(of_the_agent(&test_home), expected);

    kill_9(&only_pair(&lock).agent);
    expected.push(started(" again: the one before was killed by signal 9 (SIGKILL)"));
    assert_eq!(of_the_agent(&test_home), expected);

    let before = only_pair(&lock);
    kill_9(&before.supervisor);
    wait_until("nobody supervises", || only_pair(&lock).supervisor.pid == before.agent.pid);
    expected.push(started(" again: the one before took the place of its dead supervisor"));
    assert_eq!(of_the_agent(&test_home), expected);

    // The process executes itself again, which nobody has to know.
    let pair = only_pair(&lock);
    kill(Pid::from_raw(pair.supervisor.pid), Signal::SIGHUP).unwrap();
    test_home.set("BETA_CONTAINER_REGISTRY_SERVER", "beta.test");
    test_home.with_declared(test_home.agent(&["sync"])).output().unwrap();
    assert_eq!(of_the_agent(&test_home), expected);
}

#[test]
fn an_agent_that_fails_to_start_is_an_event_of_the_next_one() {
    let test_home = TestHome::new();
    test_home.start();
    let lock = test_home.lock();
    // SIGABRT ends the agent as a failed assertion does.
    kill(Pid::from_raw(only_pair(&lock).agent.pid), Signal::SIGABRT).unwrap();
    test_home.exit_of(&["status"]);
    let last = of_the_agent(&test_home).pop().unwrap();
    assert_eq!(last, started(" again: the one before was killed by signal 6 (SIGABRT)"));
}

#[test]
fn those_who_follow_the_events_hear_that_the_agent_stopped() {
    let test_home = TestHome::new();
    test_home.start();
    let mut follow = test_home.agent(&["events", "--follow", "--json"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(parsed(&lines.next().unwrap())["event"], "agent-started");
    succeed(&mut test_home.agent(&["stop"]));
    let last = parsed(&lines.last().unwrap());
    assert_eq!((&last["event"], &last["subject"]), (&"agent-stopped".into(), &"agent".into()));
    assert_eq!(last["detail"], "the agent stopped");
    assert!(follow.wait().unwrap().success());
}

#[test]
fn a_service_that_is_taken_over_keeps_the_events_of_the_agent_before() {
    let test_home = TestHome::new();
    let lock = test_home.lock();
    // A helper starts an agent that `run` may take over.
    test_home.helper("list", "");
    let before = of_the_agent(&test_home);
    assert_eq!(before, [started("")]);
    let mut run = test_home.agent(&["run"]).stderr(Stdio::null()).spawn().unwrap();
    wait_until("`run` does not take over", || only_pair(&lock).supervisor.role == "run");
    test_home.exit_of(&["status"]);
    let taken_over = started(" and took over from the previous agent");
    assert_eq!(of_the_agent(&test_home), [before, vec![taken_over]].concat());
    succeed(&mut test_home.agent(&["stop"]));
    assert!(run.wait().unwrap().success());
}
