//! What one client may use: connections by user, descriptors, time and memory.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::{ask, connect, send};
use crate::support::processes::wait_until;
use crate::support::test_home::{TestHome, output_text, succeed};

const NOBODY: u32 = 65534;
const AGENT: &str = env!("CARGO_BIN_EXE_registry-agent");

/// Opens thousands of connections that are idle, half-open or follow events, and keeps them until its
/// standard input ends.
const HOARDER: &str = r"
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
kept = []
for request in [b'', b'GET /v1/status HTTP/1.1\r\nHos', b'GET /v1/events?follow=true HTTP/1.1\r\n\r\n']:
    for _ in range(1000):
        client = socket.socket(socket.AF_UNIX)
        client.connect(sys.argv[1])
        try:
            client.sendall(request)
        except OSError:
            pass
        kept.append(client)
last = kept[-1]
last.settimeout(10)
print(last.recv(4096).decode().replace('\r\n', ' '), flush=True)
sys.stdin.read()
";

/// Connects and disconnects as fast as it can, until its standard input ends.
const FLOODER: &str = r"
import select, socket, sys
connected = False
while not select.select([sys.stdin], [], [], 0)[0]:
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    try:
        client.connect(sys.argv[1])
        if not connected:
            print('connected', flush=True)
        connected = True
    except BlockingIOError:
        pass
    client.close()
";

/// A test home whose agent another user can reach, with this limit of open files.
fn start_with_descriptors(test_home: &TestHome, limit: &str) {
    open_to_others(test_home);
    let mut start = test_home.command("prlimit");
    start.arg(format!("--nofile={limit}")).args([AGENT, "start"]);
    succeed(&mut test_home.with_declared(start));
}

pub(super) fn open_to_others(test_home: &TestHome) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(test_home.path("."), fs::Permissions::from_mode(0o755)).unwrap();
}

fn hoard(test_home: &TestHome) -> (Child, String) {
    let mut hoarder = Command::new("python3")
        .args(["-c", HOARDER])
        .arg(test_home.path("agent.sock"))
        .uid(NOBODY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut last = String::new();
    BufReader::new(hoarder.stdout.take().unwrap()).read_line(&mut last).unwrap();
    (hoarder, last)
}

fn agent_file(test_home: &TestHome, name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(format!("/proc/{}/{name}", test_home.status()["pid"]))
}

#[test]
fn another_users_connections_never_keep_the_owner_waiting() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", ("user", "secret"));
    start_with_descriptors(&test_home, "1024:1024");
    let (mut hoarder, last) = hoard(&test_home);
    assert!(last.starts_with("HTTP/1.1 429 ") && last.contains("uid 65534"), "{last}");
    let credential = test_home.credential("127.0.0.1:1");
    assert_eq!(credential, Some(("user".to_owned(), "secret".to_owned())));
    assert_eq!(test_home.exit_of(&["sync"]), 0);
    let open = fs::read_dir(agent_file(&test_home, "fd")).unwrap().count();
    assert!(open < 128, "the agent has {open} descriptors");
    drop(hoarder.stdin.take());
    hoarder.wait().unwrap();
    wait_until("another user cannot connect again", || {
        let (mut hoarder, last) = hoard(&test_home);
        drop(hoarder.stdin.take());
        hoarder.wait().unwrap();
        last.contains("429")
    });
    let metrics = ask(&test_home, "GET /metrics").body;
    assert!(!metrics.contains("registry_agent_requests_refused_total{reason=\"connections\"} 0"));
}

#[test]
fn a_flood_of_another_users_connections_costs_the_owner_no_login() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", ("user", "secret"));
    start_with_descriptors(&test_home, "1024:1024");
    let flood = |uid: u32| {
        let mut flooder = Command::new("python3")
            .args(["-c", FLOODER])
            .arg(test_home.path("agent.sock"))
            .uid(uid)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(flooder.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(first, "connected\n");
        flooder
    };
    let flooders: Vec<Child> = [NOBODY - 1, NOBODY, NOBODY].map(flood).into();
    let credentials: Vec<_> = (0..6).map(|_| test_home.credential("127.0.0.1:1")).collect();
    let well = test_home.exit_of(&["sync"]);
    for mut flooder in flooders {
        drop(flooder.stdin.take());
        assert!(flooder.wait().unwrap().success());
    }
    let expected = Some(("user".to_owned(), "secret".to_owned()));
    assert!(credentials.iter().all(|it| *it == expected), "{credentials:?}");
    assert_eq!(well, 0);
}

#[test]
fn the_agent_may_open_as_many_files_as_the_system_allows() {
    let test_home = TestHome::new();
    start_with_descriptors(&test_home, "256:4000");
    let limits = fs::read_to_string(agent_file(&test_home, "limits")).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("4000"), "{files}");
}

#[test]
fn a_reader_that_is_too_slow_is_disconnected() {
    let test_home = TestHome::new();
    test_home.start();
    let mut slow = connect(&test_home);
    slow.write_all(b"GET /v1/events?follow=true HTTP/1.0\r\n\r\n").unwrap();
    // Far more events than the socket's buffer holds, and than the agent keeps.
    for round in 0..12 {
        let variables: serde_json::Map<_, _> = (0..200)
            .flat_map(|index| {
                let name = format!("R{round}_{index}_CONTAINER_REGISTRY_");
                [
                    (
                        format!("{name}SERVER"),
                        json!(format!("127.0.0.{}:{}", round + 1, index + 1)),
                    ),
                    (format!("{name}USER"), json!("user")),
                    (format!("{name}PASSWORD"), json!("secret")),
                ]
            })
            .collect();
        let body = serde_json::to_string(&variables).unwrap();
        let request =
            format!("PUT /v1/environment HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(send(&test_home, request.as_bytes()).status, 200);
    }
    let mut received = String::new();
    slow.read_to_string(&mut received).unwrap();
    let all = test_home.status()["seq"].as_u64().unwrap();
    let lines = received.lines().count() as u64;
    assert!(lines < all, "it received all {all} events");
}

#[test]
fn the_helper_says_that_a_login_is_too_large() {
    let test_home = TestHome::new();
    test_home.start();
    let secret = "!".repeat(3 << 20);
    let login = json!({ "ServerURL": "127.0.0.1:1", "Username": "user", "Secret": secret });
    let output = test_home.helper("store", &login.to_string());
    assert!(!output.status.success());
    let text = output_text(&output);
    assert!(text.contains("the body of this request may have at most 2 MiB"), "{text}");
}

#[test]
fn a_large_environment_costs_a_bounded_multiple_of_its_size() {
    let test_home = TestHome::new();
    test_home.start();
    let high_water = || -> u64 {
        let status = fs::read_to_string(agent_file(&test_home, "status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let before = high_water();
    let password = "p".repeat(1 << 20);
    let variables: serde_json::Map<_, _> = (1..16)
        .flat_map(|index| {
            let name = format!("R{index}_CONTAINER_REGISTRY_");
            [
                (format!("{name}SERVER"), json!(format!("127.0.0.1:{index}"))),
                (format!("{name}USER"), json!("user")),
                (format!("{name}PASSWORD"), json!(password)),
            ]
        })
        .collect();
    let body = serde_json::to_string(&variables).unwrap();
    let request =
        format!("PUT /v1/environment HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(send(&test_home, request.as_bytes()).status, 200);
    // Their verifications use memory as well; nothing listens there.
    test_home.login("R1");
    let used = high_water() - before;
    assert!(used < 160, "an environment of 15 MiB took {used} MiB");
}
