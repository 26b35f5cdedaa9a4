//! Ending an agent, whoever asks and whatever hangs.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use registry_agent::adapters::clock;
use registry_agent::agent::supervisor::{KILL_GRACE, STOP_GRACE};

use crate::support::mounts::Mounted;
use crate::support::processes::{holders, only_pair, send, wait_until};
use crate::support::test_home::{TestHome, succeed};

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";
/// The same, in a file.
const CONFIGURED: &str = "127.0.0.1:2";

#[test]
fn an_agent_ends_by_itself_on_every_signal_that_asks_it_to() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let test_home = TestHome::new();
        test_home.start();
        let pair = only_pair(&test_home.lock());
        let begin = Instant::now();
        send(pair.supervisor.pid, signal);
        wait_until("it does not end", || holders(&test_home.lock()).is_empty());
        assert_prompt(begin);
        assert_drained(&test_home);
    }
    let test_home = TestHome::new();
    test_home.start();
    let begin = Instant::now();
    succeed(&mut test_home.agent(&["stop"]));
    assert_prompt(begin);
    wait_until("it does not end", || holders(&test_home.lock()).is_empty());
    assert_drained(&test_home);
}

#[test]
fn a_service_ends_by_itself_when_asked() {
    let test_home = TestHome::new();
    let log = fs::File::create(test_home.path("run.log")).unwrap();
    let mut service = test_home.agent(&["run"]).stderr(log).spawn().unwrap();
    let pair = only_pair(&test_home.lock());
    test_home.exit_of(&["wait"]);
    let begin = Instant::now();
    send(pair.supervisor.pid, Signal::SIGTERM);
    assert!(service.wait().unwrap().success(), "a stop is no failure");
    assert_prompt(begin);
    let log = fs::read_to_string(test_home.path("run.log")).unwrap();
    assert!(!log.contains("killed"), "{log}");
}

#[test]
fn a_stopped_agent_and_a_stopped_supervisor_end_all_the_same() {
    for hung in ["agent", "supervisor", "both"] {
        let test_home = TestHome::new();
        test_home.start();
        let pair = only_pair(&test_home.lock());
        if hung != "supervisor" {
            send(pair.agent.pid, Signal::SIGSTOP);
        }
        if hung != "agent" {
            send(pair.supervisor.pid, Signal::SIGSTOP);
        }
        succeed(&mut test_home.agent(&["stop"]));
        wait_until(hung, || holders(&test_home.lock()).is_empty());
    }
}

#[test]
fn a_supervisor_ends_within_two_seconds_although_its_agent_hangs_in_the_kernel() {
    assert!(STOP_GRACE + KILL_GRACE < Duration::from_secs(2));
}

#[test]
fn a_shutdown_whose_client_has_gone_is_not_obeyed() {
    let test_home = TestHome::new();
    test_home.start();
    let agent = only_pair(&test_home.lock()).agent;
    send(agent.pid, Signal::SIGSTOP);
    let mut client = UnixStream::connect(test_home.path("agent.sock")).unwrap();
    client.write_all(b"POST /v1/shutdown HTTP/1.0\r\n\r\n").unwrap();
    drop(client);
    send(agent.pid, Signal::SIGCONT);
    for _ in 0..20 {
        assert_eq!(test_home.exit_of(&["status"]), 0);
        clock::pause(Duration::from_millis(10));
    }
    assert_eq!(only_pair(&test_home.lock()).agent, agent);
}

#[test]
fn a_hang_up_reads_everything_again_and_keeps_what_was_pushed() {
    let mut test_home = TestHome::new();
    let write = |name: &str, text: &str| {
        let path = test_home.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let declaration = |password: &str| {
        format!(
            "FILE_CONTAINER_REGISTRY_SERVER={CONFIGURED}\nFILE_CONTAINER_REGISTRY_USER=user\n\
             FILE_CONTAINER_REGISTRY_PASSWORD={password}\n"
        )
    };
    let env_file = write("registries.env", &declaration("configured"));
    let new_env_file = write("new.env", &declaration("changed"));
    let config = write(".config/registry-agent/config.toml", "");
    let new_config = write("new.toml", &format!("sources = [\"{}\"]\n", env_file.display()));
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.start();
    test_home.sync();
    test_home.exit_of(&["wait"]);
    let pair = only_pair(&test_home.lock());

    // Nothing tells a watcher that a file is mounted on another one.
    let _config = Mounted::bind(&new_config, &config);
    send(pair.supervisor.pid, Signal::SIGHUP);
    let password = |password: &str| Some(("user".to_owned(), password.to_owned()));
    wait_until("the configuration is not read again", || {
        test_home.credential(CONFIGURED) == password("configured")
    });
    let _env_file = Mounted::bind(&new_env_file, &env_file);
    send(pair.supervisor.pid, Signal::SIGHUP);
    wait_until("the source is not read again", || {
        test_home.credential(CONFIGURED) == password("changed")
    });
    assert_eq!(test_home.credential(SERVER), Some(("user".to_owned(), "pushed".to_owned())));
    let now = only_pair(&test_home.lock());
    assert_eq!((now.supervisor, now.agent), (pair.supervisor, pair.agent));
}

#[test]
fn kill_9_during_a_hang_up_loses_nothing() {
    let mut test_home = TestHome::new();
    test_home.start();
    for round in 0..40 {
        let secret = format!("secret of {round}");
        test_home.declare_anew("PUSHED", SERVER, ("user", &secret));
        test_home.sync();
        let pair = only_pair(&test_home.lock());
        send(pair.supervisor.pid, Signal::SIGHUP);
        clock::pause(Duration::from_micros(fastrand::u64(..15_000)));
        let victim = if round % 2 == 0 { pair.supervisor } else { pair.agent };
        send(victim.pid, Signal::SIGKILL);
        let pushed = Some(("user".to_owned(), secret));
        assert_eq!(test_home.credential(SERVER), pushed, "round {round}, killed {}", victim.role);
    }
}

/// Long before an agent that does not hear the signal is killed.
fn assert_prompt(begin: Instant) {
    assert!(begin.elapsed() < STOP_GRACE * 4 / 5, "{:?}", begin.elapsed());
}

/// No process had to be killed: an agent that ends by itself has removed its temporary files.
fn assert_drained(test_home: &TestHome) {
    let log = fs::read_to_string(test_home.path(".local/state/registry-agent/agent.log")).unwrap();
    assert!(!log.contains("killed"), "{log}");
}
