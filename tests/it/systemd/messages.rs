//! What a service tells systemd, and what systemd keeps for it, with a socket in place of systemd's.

use std::fs;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::process::Child;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::support::processes::{self, kill_9, only_pair, wait_until};
use crate::support::test_home::TestHome;

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";
const AGENT: &str = env!("CARGO_BIN_EXE_registry-agent");

#[test]
fn the_state_is_kept_over_the_death_of_all_of_a_service() {
    let mut test_home = TestHome::new();
    let mut systemd = Systemd::listen(&test_home);
    let mut service = start(&test_home);
    systemd.listen_until(|systemd| systemd.count("READY=1") == 1);

    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync();
    // The state with the push in it is the last one that comes.
    systemd.listen_until(|systemd| systemd.holds("pushed"));
    assert_eq!(systemd.kept.len(), 1, "old states are taken out: {:?}", systemd.kept);

    let pair = only_pair(&test_home.lock());
    // systemd kills what is left of the service.
    kill_9(&pair.supervisor);
    service.wait().unwrap();
    wait_until("the orphan is still there", || {
        let left = processes::holders(&test_home.lock());
        left.iter().for_each(kill_9);
        left.is_empty()
    });

    // What the previous agent still sent is read before its end.
    systemd.listen_to_the_rest();
    let (name, memory) = systemd.kept.pop().unwrap();
    let mut service = test_home.command("sh");
    service
        .args(["-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" run", AGENT])
        .env("LISTEN_FDNAMES", &name)
        .env("NOTIFY_SOCKET", test_home.path("notify"))
        .fd_mappings(vec![FdMapping { parent_fd: memory, child_fd: 3 }])
        .unwrap();
    let mut service = service.spawn().unwrap();
    systemd.listen_until(|systemd| systemd.count("READY=1") == 2);
    // systemd keeps both lives' states side by side, so their names must not start over.
    let number = |name: &str| name.trim_start_matches("state").parse::<u64>().unwrap();
    assert!(number(&systemd.kept[0].0) > number(&name), "{} after {name}", systemd.kept[0].0);
    assert_eq!(test_home.credential(SERVER), Some(("user".to_owned(), "pushed".to_owned())));

    end(&test_home, &mut service);
}

#[test]
fn a_reload_is_announced_with_its_time_and_its_end() {
    let mut test_home = TestHome::new();
    let mut systemd = Systemd::listen(&test_home);
    let mut service = start(&test_home);
    systemd.listen_until(|systemd| systemd.count("READY=1") == 1);
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync();

    let agent = only_pair(&test_home.lock()).agent;
    // The second time the agent has just been killed.
    for round in 1..=2 {
        if round == 2 {
            kill_9(&agent);
        }
        systemd.listen_to_the_rest();
        systemd.messages.clear();
        let before = monotonic_usec();
        signal(&test_home, Signal::SIGHUP);
        systemd.listen_until(|systemd| systemd.count("RELOADING=1") == 1);
        let after = monotonic_usec();
        // systemd ignores the announcement of a reload before the one it asked for.
        let at = systemd.messages.iter().find_map(|it| it.strip_prefix("MONOTONIC_USEC="));
        let at: i128 = at.unwrap().parse().unwrap();
        assert!((before..=after).contains(&at), "{before} {at} {after}");
        let announced = systemd.messages.iter().position(|it| it == "RELOADING=1").unwrap();
        systemd
            .listen_until(|systemd| systemd.messages[announced..].iter().any(|it| it == "READY=1"));
        assert_eq!(test_home.credential(SERVER), Some(("user".to_owned(), "pushed".to_owned())));
    }
    end(&test_home, &mut service);
}

#[test]
fn the_status_line_counts_the_logins() {
    let mut test_home = TestHome::new();
    let mut systemd = Systemd::listen(&test_home);
    let mut service = start(&test_home);
    systemd.listen_until(|systemd| systemd.status() == Some("no login is declared"));
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync();
    systemd.listen_until(|systemd| systemd.status() == Some("0 of 1 login ready, 1 unreachable"));
    // The next agent tells it again: systemd may have been told of the death of this one.
    systemd.messages.clear();
    kill_9(&only_pair(&test_home.lock()).agent);
    systemd.listen_until(|systemd| systemd.status() == Some("0 of 1 login ready, 1 unreachable"));
    end(&test_home, &mut service);
}

#[test]
fn a_stop_is_announced() {
    let test_home = TestHome::new();
    let mut systemd = Systemd::listen(&test_home);
    for command in [false, true] {
        let mut service = start(&test_home);
        systemd.listen_until(|systemd| systemd.count("READY=1") == 1);
        if command {
            assert_eq!(test_home.exit_of(&["stop"]), 0);
        } else {
            signal(&test_home, Signal::SIGTERM);
        }
        assert!(service.wait().unwrap().success(), "a stop is no failure");
        systemd.listen_to_the_rest();
        assert_eq!(systemd.count("STOPPING=1"), 1, "{:?}", systemd.messages);
        systemd.messages.clear();
        // systemd keeps nothing of a service that stops.
        systemd.kept.clear();
    }
}

fn start(test_home: &TestHome) -> Child {
    test_home.agent(&["run"]).env("NOTIFY_SOCKET", test_home.path("notify")).spawn().unwrap()
}

fn end(test_home: &TestHome, service: &mut Child) {
    signal(test_home, Signal::SIGTERM);
    assert!(service.wait().unwrap().success(), "a stop is no failure");
}

/// Sends a signal to the main process of the service.
fn signal(test_home: &TestHome, signal: Signal) {
    let holders = processes::holders(&test_home.lock());
    let main = holders.iter().find(|process| process.role == "run").unwrap();
    kill(Pid::from_raw(main.pid), signal).unwrap();
}

fn monotonic_usec() -> i128 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    Duration::from(now).as_micros().cast_signed()
}

/// What systemd would hear from a service, and keep for it.
struct Systemd {
    socket: UnixDatagram,
    /// Every assignment, in order.
    messages: Vec<String>,
    /// The descriptor store.
    kept: Vec<(String, OwnedFd)>,
}

impl Systemd {
    fn listen(test_home: &TestHome) -> Self {
        let socket = UnixDatagram::bind(test_home.path("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket, messages: Vec::new(), kept: Vec::new() }
    }

    fn listen_until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) || self.kept.len() > 1 {
            assert!(self.hear(), "nothing more than {:?}", self.messages);
        }
    }

    fn listen_to_the_rest(&mut self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.hear() {}
        self.socket.set_nonblocking(false).unwrap();
    }

    fn count(&self, message: &str) -> usize {
        self.messages.iter().filter(|it| *it == message).count()
    }

    /// The last `STATUS=`.
    fn status(&self) -> Option<&str> {
        self.messages.iter().rev().find_map(|message| message.strip_prefix("STATUS="))
    }

    /// Hears one message; whether there was one.
    fn hear(&mut self) -> bool {
        let mut text = [0; 4096];
        let mut space = nix::cmsg_space!([RawFd; 4]);
        let (length, mut fds) = {
            let mut buffer = [IoSliceMut::new(&mut text)];
            let received = recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut buffer,
                Some(&mut space),
                MsgFlags::MSG_CMSG_CLOEXEC,
            );
            let Ok(received) = received else { return false };
            let mut fds = Vec::new();
            for message in received.cmsgs().unwrap() {
                if let ControlMessageOwned::ScmRights(received) = message {
                    fds.extend(received.into_iter().map(owned));
                }
            }
            (received.bytes, fds)
        };
        let text = String::from_utf8(text[..length].to_vec()).unwrap();
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .map(str::to_owned)
        };
        if value("FDSTOREREMOVE").is_some() {
            let name = value("FDNAME").unwrap();
            self.kept.retain(|(kept, _)| *kept != name);
        } else if value("FDSTORE").is_some() {
            self.kept.push((value("FDNAME").unwrap(), fds.pop().unwrap()));
        }
        self.messages.extend(text.lines().map(str::to_owned));
        true
    }

    fn holds(&self, text: &str) -> bool {
        self.kept.last().is_some_and(|(_, memory)| {
            let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
            String::from_utf8_lossy(&fs::read(path).unwrap()).contains(text)
        })
    }
}

/// An owner for a descriptor that came as a bare number.
fn owned(fd: RawFd) -> OwnedFd {
    let link = format!("/proc/self/fd/{fd}");
    let file = fs::OpenOptions::new().read(true).write(true).open(link).unwrap();
    nix::unistd::close(fd).unwrap();
    file.into()
}
