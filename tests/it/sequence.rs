//! The sequence number of events, by which clients recognize new ones.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use registry_agent::adapters::clock::pause;
use serde_json::de::IoRead;
use serde_json::{Deserializer, StreamDeserializer, Value, json};

use crate::support::processes::{kill_9, only_pair};
use crate::support::test_home::{TestHome, output_text, succeed};

#[test]
fn a_status_has_the_sequence_number_of_the_last_event() {
    let test_home = home_with_a_login();
    let seq = test_home.status()["seq"].as_u64().unwrap();
    let numbers: Vec<u64> = events(&test_home).iter().map(number).collect();
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next), "{numbers:?}");
    assert!(seq > 0 && numbers.contains(&seq), "{seq} in {numbers:?}");
}

#[test]
fn the_events_of_a_killed_agent_are_still_there_and_counting_goes_on() {
    let mut test_home = home_with_a_login();
    let before = events(&test_home);
    kill_9(&only_pair(&test_home.lock()).agent);
    assert_eq!(events(&test_home)[..before.len()], before);

    test_home.declare("OTHER", "127.0.0.1:2", ("user", "password"));
    test_home.sync();
    test_home.exit_of(&["wait"]);
    let after = events(&test_home);
    assert_eq!(after[..before.len()], before);
    let numbers: Vec<u64> = after.iter().map(number).collect();
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next), "{numbers:?}");
    assert_eq!(test_home.status()["seq"], after.last().unwrap()["seq"]);
}

#[test]
fn events_are_followed_over_the_death_of_the_agent_each_of_them_once() {
    let mut test_home = home_with_a_login();
    let mut follow = Follower::start(test_home.agent(&["events", "--follow", "--json"]));
    let before = events(&test_home);
    let mut followed = follow.read(before.len());
    assert_eq!(followed, before);
    kill_9(&only_pair(&test_home.lock()).agent);
    test_home.declare("OTHER", "127.0.0.1:2", ("user", "password"));
    test_home.sync();
    let after = events(&test_home);
    followed.extend(follow.read(after.len() - before.len()));
    assert_eq!(followed, after);
}

/// A home whose agent has recorded all that happens to one login.
fn home_with_a_login() -> TestHome {
    let mut test_home = TestHome::new();
    test_home.start();
    test_home.declare("ACME", "127.0.0.1:1", ("user", "password"));
    test_home.sync();
    test_home.exit_of(&["wait"]);
    test_home
}

fn events(test_home: &TestHome) -> Vec<Value> {
    let printed = succeed(&mut test_home.agent(&["events", "--json"])).stdout;
    let printed = String::from_utf8(printed).unwrap();
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(event: &Value) -> u64 {
    event["seq"].as_u64().unwrap()
}

/// A command that prints JSON documents until this is dropped.
struct Follower {
    child: Child,
    printed: StreamDeserializer<'static, IoRead<ChildStdout>, Value>,
}

impl Follower {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let printed = Deserializer::from_reader(child.stdout.take().unwrap()).into_iter();
        Self { child, printed }
    }

    fn read(&mut self, count: usize) -> Vec<Value> {
        self.printed.by_ref().take(count).map(Result::unwrap).collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_wait_ends_although_the_clock_was_set_back() {
    let test_home = TestHome::new();
    let _agent = StandIn::start(&test_home);
    let mut wait = test_home.command("timeout");
    wait.args(["30", env!("CARGO_BIN_EXE_registry-agent"), "wait", "--timeout", "1000s"]);
    let waited = wait.output().unwrap();
    assert_eq!(waited.status.code(), Some(0), "{}", output_text(&waited));
}

#[test]
fn a_watched_status_goes_on_although_the_clock_was_set_back() {
    let test_home = TestHome::new();
    let _agent = StandIn::start(&test_home);
    let mut watch = test_home.command("timeout");
    watch.args(["30", env!("CARGO_BIN_EXE_registry-agent"), "status", "--watch", "--json"]);
    let mut watch = Follower::start(watch);
    let settled: Vec<_> = watch.read(2).iter().map(|status| status["settled"].clone()).collect();
    assert_eq!(settled, [false, true]);
}

#[test]
fn events_are_followed_although_the_clock_was_set_back_and_the_agent_replaced() {
    let test_home = TestHome::new();
    let _agent = StandIn::start(&test_home);
    let mut follow = Follower::start(test_home.agent(&["events", "--follow", "--json"]));
    let numbers: Vec<_> = follow.read(3).iter().map(number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

/// An agent whose clock was set back by an hour after its first event: nobody can do that to one
/// process.
struct StandIn(PathBuf);

impl StandIn {
    fn start(test_home: &TestHome) -> Self {
        let socket = test_home.path("agent.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let event_streams = Arc::<AtomicUsize>::default();
        thread::spawn(move || {
            for client in listener.incoming() {
                let event_streams = Arc::clone(&event_streams);
                // The client may have gone.
                thread::spawn(move || drop(answer(client.unwrap(), &event_streams)));
            }
        });
        Self(socket)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// The first status has a pending login, which the second one settles. Each stream of events ends with
/// one more than the stream before it.
fn answer(mut client: UnixStream, event_streams: &AtomicUsize) -> io::Result<()> {
    let (early, late) = ("2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z");
    let mut request = String::new();
    BufReader::new(client.try_clone()?).read_line(&mut request)?;
    client.write_all(b"HTTP/1.0 200 OK\r\n\r\n")?;
    if request.contains("/v1/status?follow=true") {
        for (seq, at) in [(1, late), (2, early)] {
            let status = json!({
                "version": "0", "pid": 1, "started_at": late, "at": at, "seq": seq,
                "settled": seq == 2, "sources": [], "registries": [], "problems": [],
            });
            writeln!(client, "{status}")?;
        }
        // The stream stays open until the client has seen enough.
        return io::copy(&mut client, &mut io::sink()).map(drop);
    }
    if request.contains("/v1/events") {
        for seq in 1..=event_streams.fetch_add(1, Ordering::SeqCst) + 2 {
            let at = if seq == 1 { late } else { early };
            let event = json!({ "seq": seq, "at": at, "event": "ready", "subject": "a", "detail": "a is ready" });
            writeln!(client, "{event}")?;
        }
        pause(Duration::from_millis(500));
    }
    Ok(())
}
