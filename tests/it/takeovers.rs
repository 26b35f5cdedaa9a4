//! `run` takes over an agent that a helper started: whichever side is killed, hangs or gives up, one agent
//! serves, and it has what was pushed.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use registry_agent::adapters::handoff::{self, Descriptors, Message};
use registry_agent::adapters::{clock, takeover};

use crate::support::processes::{Pair, holders, is_alive, kill_9, only_pair, send, wait_until};
use crate::support::test_home::{TestHome, succeed};

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";
const AGENT: &str = env!("CARGO_BIN_EXE_registry-agent");

#[test]
fn an_agent_serves_on_a_socket_that_was_removed_while_it_handed_over() {
    let (test_home, pair) = pushed_to_helpers_agent();
    let takeover = FakeRun::begin(&test_home, &pair);
    let socket = test_home.path("agent.sock");
    fs::remove_file(&socket).unwrap();
    wait_until("the socket is not made again", || socket.exists());
    drop(takeover);
    assert_served(&test_home);
    assert_eq!(only_pair(&test_home.lock()).supervisor, pair.supervisor);
}

#[test]
fn an_agent_serves_again_while_the_run_that_took_it_over_hangs() {
    let (test_home, pair) = pushed_to_helpers_agent();
    let takeover = FakeRun::begin(&test_home, &pair);
    assert_served(&test_home);
    assert_eq!(only_pair(&test_home.lock()).supervisor, pair.supervisor);
    assert!(!takeover.accept(), "there are two agents");
}

#[test]
fn an_agent_stops_while_the_run_that_took_it_over_hangs() {
    let (test_home, pair) = pushed_to_helpers_agent();
    let takeover = FakeRun::begin(&test_home, &pair);
    assert_eq!(test_home.exit_of(&["stop"]), 0);
    wait_until("a process is left", || !is_alive(pair.supervisor.pid) && !is_alive(pair.agent.pid));
    assert!(!takeover.accept());
}

#[test]
fn a_run_that_is_stopped_at_any_instant_of_a_takeover_keeps_nobody_waiting() {
    let mut test_home = TestHome::new();
    let lock = test_home.lock();
    for round in 0..8 {
        assert_eq!(test_home.exit_of(&["start", "--unless-stopped"]), 0);
        let secret = format!("secret of {round}");
        test_home.declare_anew("PUSHED", SERVER, ("user", &secret));
        test_home.sync();
        let mut service = Command::new(AGENT);
        let set = test_home.agent(&[]);
        let set = set.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut service =
            service.arg("run").env_clear().envs(set).stderr(Stdio::null()).spawn().unwrap();
        wait_until("`run` does not take over", || {
            lock.join("takeover").exists()
                || holders(&lock).iter().any(|process| process.role == "run")
        });
        clock::pause(Duration::from_micros(fastrand::u64(..20_000)));
        let run = service.id().cast_signed();
        send(run, Signal::SIGSTOP);
        let login = Some(("user".to_owned(), secret));
        assert_eq!(test_home.credential(SERVER), login, "round {round}: it hangs");
        send(run, Signal::SIGCONT);
        wait_until("`run` does not take over in the end", || {
            only_pair(&lock).supervisor.pid == run
        });
        assert_eq!(test_home.credential(SERVER), login, "round {round}: it goes on");
        assert_eq!(test_home.exit_of(&["stop"]), 0);
        assert!(service.wait().unwrap().success(), "round {round}");
        fs::remove_file(lock.join("stopped")).unwrap();
    }
}

#[test]
fn run_receives_the_state_of_an_agent_that_is_killed_before_it_is_asked() {
    let (test_home, pair) = pushed_to_helpers_agent();
    // The supervisor finds the request and the death at once.
    send(pair.supervisor.pid, Signal::SIGSTOP);
    kill_9(&pair.agent);
    assert_run_takes_over(&test_home);
}

#[test]
fn run_receives_the_state_before_the_next_agent_starts() {
    let (test_home, pair) = pushed_to_helpers_agent();
    let mut last = pair.agent;
    // Each agent starts later than the one before.
    for _ in 0..5 {
        kill_9(&last);
        wait_until("no agent follows", || only_pair(&test_home.lock()).agent.pid != last.pid);
        last = only_pair(&test_home.lock()).agent;
    }
    kill_9(&last);
    assert_run_takes_over(&test_home);
}

fn assert_run_takes_over(test_home: &TestHome) {
    let mut service = test_home.agent(&["run"]).spawn().unwrap();
    wait_until("`run` does not take over", || {
        only_pair(&test_home.lock()).supervisor.role == "run"
    });
    assert_served(test_home);
    assert_eq!(test_home.exit_of(&["stop"]), 0);
    assert!(service.wait().unwrap().success());
}

#[test]
fn a_run_that_does_not_accept_after_a_shutdown_loses_nothing() {
    let (test_home, pair) = pushed_to_helpers_agent();
    let listener = UnixListener::bind(test_home.lock().join("takeover")).unwrap();
    let mut client = UnixStream::connect(test_home.path("agent.sock")).unwrap();
    client.write_all(b"POST /v1/shutdown HTTP/1.0\r\n\r\n").unwrap();
    let (stream, _) = listener.accept().unwrap();
    drop((stream, listener));
    assert_served(&test_home);
    assert_eq!(only_pair(&test_home.lock()).supervisor, pair.supervisor);
}

#[test]
fn an_agent_serves_on_although_the_run_that_asked_it_was_killed() {
    let (test_home, pair) = pushed_to_helpers_agent();
    let socket = leave_dead_socket(&test_home);
    send(pair.supervisor.pid, Signal::SIGTERM);
    wait_until("the supervisor does nothing", || {
        !socket.exists() || !is_alive(pair.supervisor.pid)
    });
    assert_served(&test_home);
    assert_eq!(only_pair(&test_home.lock()).agent, pair.agent);
    // What the killed `run` left does not keep the agent from ending.
    send(pair.supervisor.pid, Signal::SIGTERM);
    wait_until("it does not end", || holders(&test_home.lock()).is_empty());
}

#[test]
fn an_agent_that_a_killed_run_shut_down_is_started_again() {
    let (test_home, pair) = pushed_to_helpers_agent();
    leave_dead_socket(&test_home);
    let mut client = UnixStream::connect(test_home.path("agent.sock")).unwrap();
    client.write_all(b"POST /v1/shutdown HTTP/1.0\r\n\r\n").unwrap();
    wait_until("the agent does not end", || !is_alive(pair.agent.pid));
    assert_served(&test_home);
    assert_eq!(only_pair(&test_home.lock()).supervisor, pair.supervisor);
}

#[test]
fn a_service_ends_although_a_run_was_killed_beside_it() {
    let test_home = TestHome::new();
    let mut service = test_home.agent(&["run"]).spawn().unwrap();
    let pair = only_pair(&test_home.lock());
    leave_dead_socket(&test_home);
    send(pair.supervisor.pid, Signal::SIGTERM);
    assert!(service.wait().unwrap().success());
}

#[test]
fn an_agent_obeys_a_request_to_stop_although_a_run_was_killed_long_ago() {
    for ends in [by_signal, by_request] {
        let (test_home, pair) = pushed_to_helpers_agent();
        let socket = leave_dead_socket(&test_home);
        succeed(Command::new("touch").args(["-d", "1 minute ago"]).arg(&socket));
        ends(&test_home, &pair);
        wait_until("it does not end", || holders(&test_home.lock()).is_empty());
        assert!(!socket.exists(), "the dead socket is left");
    }
}

fn by_signal(_: &TestHome, pair: &Pair) {
    send(pair.supervisor.pid, Signal::SIGTERM);
}

fn by_request(test_home: &TestHome, _: &Pair) {
    let mut client = UnixStream::connect(test_home.path("agent.sock")).unwrap();
    client.write_all(b"POST /v1/shutdown HTTP/1.0\r\n\r\n").unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
}

/// Leaves what a killed `run` leaves.
fn leave_dead_socket(test_home: &TestHome) -> PathBuf {
    let socket = test_home.lock().join("takeover");
    drop(UnixListener::bind(&socket).unwrap());
    socket
}

#[test]
fn run_takes_over_although_an_agent_does_not_answer_that_it_ends() {
    let test_home = TestHome::new();
    let mut service = test_home.agent(&["run"]);
    let mut service = hand_over(&test_home, &mut service, b"{}");
    assert_eq!(only_pair(&test_home.lock()).supervisor.role, "run");
    assert_eq!(test_home.exit_of(&["stop"]), 0);
    assert!(service.wait().unwrap().success());
}

#[test]
fn a_state_that_cannot_be_read_is_named_and_not_quoted() {
    let test_home = TestHome::new();
    let log = test_home.path("run.log");
    let mut service = test_home.agent(&["run"]);
    let service = service.stderr(File::create(&log).unwrap());
    let mut service = hand_over(&test_home, service, br#"{"pushed": "planted"}"#);
    only_pair(&test_home.lock());
    assert_eq!(test_home.exit_of(&["stop"]), 0);
    assert!(service.wait().unwrap().success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("cannot be read (line 1, column 20)"), "{log}");
    assert!(!log.contains("planted"), "{log}");
}

/// Starts a `run` and hands it this state, as an agent whose supervisor cannot be seen and which does
/// not answer the request to end.
fn hand_over(test_home: &TestHome, run: &mut Command, state: &[u8]) -> Child {
    let directory = test_home.lock();
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("replaceable"), "").unwrap();
    let held = File::open(&directory).unwrap();
    held.lock().unwrap();
    let listener = UnixListener::bind(test_home.path("agent.sock")).unwrap();
    let run = run.spawn().unwrap();
    let (mut request, mut begin) = (listener.accept().unwrap().0, [0; 18]);
    request.read_exact(&mut begin).unwrap();
    assert_eq!(begin, *b"POST /v1/shutdown ");
    let stream = UnixStream::connect(directory.join("takeover")).unwrap();
    let memfd = handoff::create(state).unwrap();
    let all = Descriptors { lock: held.into(), listener: listener.into(), memfd };
    assert!(takeover::hand_over(stream.as_fd(), all), "it takes too long");
    run
}

/// A `run` that receives everything and then does nothing.
struct FakeRun {
    stream: UnixStream,
    _received: Descriptors,
}

impl FakeRun {
    fn begin(test_home: &TestHome, old: &Pair) -> Self {
        let socket = test_home.lock().join("takeover");
        let listener = UnixListener::bind(&socket).unwrap();
        send(old.supervisor.pid, Signal::SIGTERM);
        let (stream, _) = listener.accept().unwrap();
        let received = loop {
            match handoff::receive(stream.as_fd()) {
                Ok(Some(Message::TakeOver(received))) => break received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    clock::pause(Duration::from_millis(1));
                }
                other => panic!("{other:?}"),
            }
        };
        fs::remove_file(&socket).unwrap();
        Self { stream, _received: received }
    }

    /// Returns whether the old agent leaves everything to this one.
    fn accept(&self) -> bool {
        takeover::accept(self.stream.as_fd())
    }
}

/// The same, with an agent that `run` may take over.
fn pushed_to_helpers_agent() -> (TestHome, Pair) {
    let mut test_home = TestHome::new();
    assert_eq!(test_home.exit_of(&["start", "--unless-stopped"]), 0);
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync();
    let pair = only_pair(&test_home.lock());
    (test_home, pair)
}

fn assert_served(test_home: &TestHome) {
    let pushed = Some(("user".to_owned(), "pushed".to_owned()));
    assert_eq!(test_home.credential(SERVER), pushed);
}
