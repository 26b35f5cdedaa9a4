//! The sequence number of events, by which clients recognize new ones.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use registry_agent::adapters::clock::pause;
use serde_json::{Value, json};

use crate::support::test_home::{TestHome, output_text, succeed};

#[test]
fn a_status_has_the_sequence_number_of_the_last_event() {
    let mut test_home = TestHome::new();
    test_home.start();
    test_home.declare("ACME", "127.0.0.1:1", ("user", "password"));
    test_home.sync();
    test_home.exit_of(&["wait"]);
    let status = test_home.status();
    let events = succeed(&mut test_home.agent(&["events", "--json"])).stdout;
    let events = String::from_utf8(events).unwrap();
    let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap();
    let numbers: Vec<u64> = events.lines().map(number).collect();
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next), "{numbers:?}");
    let seq = status["seq"].as_u64().unwrap();
    assert!(seq > 0 && numbers.contains(&seq), "{seq} in {numbers:?}");
}

/// The clock of a single process cannot be set back, so the test plays the agent.
#[test]
fn a_wait_ends_although_the_clock_was_set_back() {
    let test_home = TestHome::new();
    let socket = test_home.path("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            thread::spawn(move || answer(client.unwrap()));
        }
    });
    let mut wait = test_home.command("timeout");
    wait.args(["30", env!("CARGO_BIN_EXE_registry-agent"), "wait", "--timeout", "1000s"]);
    let waited = wait.output().unwrap();
    std::fs::remove_file(socket).unwrap();
    assert_eq!(waited.status.code(), Some(0), "{}", output_text(&waited));
}

static ASKED: AtomicBool = AtomicBool::new(false);

/// The first status has a pending login; the event that settles it is an hour older than that.
fn answer(mut client: UnixStream) {
    let (early, late) = ("2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z");
    let mut request = String::new();
    BufReader::new(client.try_clone().unwrap()).read_line(&mut request).unwrap();
    client.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
    if request.contains("/v1/status") {
        let settled = ASKED.swap(true, Ordering::SeqCst);
        let status = json!({
            "version": "0", "pid": 1, "started_at": late, "at": late, "seq": 1 + u64::from(settled),
            "settled": settled, "sources": [], "registries": [], "problems": [],
        });
        // The client may have disconnected.
        let _ = write!(client, "{status}");
        return;
    }
    let event = |seq: u64, at: &str| json!({ "seq": seq, "at": at, "event": "ready", "subject": "a", "detail": "a is ready" });
    writeln!(client, "{}", event(1, late)).unwrap();
    while !ASKED.load(Ordering::SeqCst) {
        pause(Duration::from_millis(5));
    }
    while writeln!(client, "{}", event(2, early)).is_ok() {
        pause(Duration::from_millis(500));
    }
}
