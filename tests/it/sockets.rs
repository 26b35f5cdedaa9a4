//! The socket and the lock: containers that share a home directory, sockets that hang, files that are
//! removed.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};
use nix::unistd::Pid;

use crate::support::processes::{is_alive, only_pair, wait_until};
use crate::support::test_home::{TestHome, output_text, run_with_input};

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";
const AGENT: &str = env!("CARGO_BIN_EXE_registry-agent");
const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");

#[test]
fn an_agent_starts_serves_and_survives_its_supervisor_while_the_lock_directory_is_full() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", SERVER, ("user", "secret"));
    let script = format!(
        "mount -o remount,size=64k /tmp\n\
         dd if=/dev/zero of=/tmp/full bs=1k 2> /dev/null || true\n\
         '{AGENT}' start\n\
         printf %s {SERVER} | '{HELPER}' get\n\
         pid=$('{AGENT}' status --json | sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p')\n\
         kill -KILL \"$(sed -n 's/^PPid:\t*//p' \"/proc/$pid/status\")\"\n\
         printf %s {SERVER} | '{HELPER}' get\n\
         '{AGENT}' stop"
    );
    let output = test_home.with_declared(container(&test_home, &script)).output().unwrap();
    let output_text = output_text(&output);
    assert!(output.status.success(), "{output_text}");
    assert_eq!(output_text.matches("\"Secret\":\"secret\"").count(), 2, "{output_text}");
}

#[test]
fn containers_that_share_a_home_have_an_agent_each() {
    let mut test_home = TestHome::new();
    test_home.declare("FIRST", SERVER, ("user", "first"));
    let first =
        format!("'{AGENT}' start && touch started && until [ -e done ]; do sleep 0.1; done");
    let first = container(&test_home, &format!("{first}; '{AGENT}' stop"));
    let mut first = test_home.with_declared(first).spawn().unwrap();
    wait_until("the first container's agent does not start", || test_home.path("started").exists());
    let status = container(&test_home, &format!("'{AGENT}' status")).output().unwrap();
    let other = format!("printf %s {SERVER} | '{HELPER}' get; '{AGENT}' stop");
    let other = container(&test_home, &other).output().unwrap();
    fs::write(test_home.path("done"), "").unwrap();
    assert!(first.wait().unwrap().success());
    assert_eq!(status.status.code(), Some(4), "{}", output_text(&status));
    assert!(!output_text(&other).contains("first"), "{}", output_text(&other));
}

#[test]
fn a_socket_and_a_lock_that_are_removed_are_recreated() {
    let mut test_home = TestHome::new();
    test_home.declare("KEPT", SERVER, ("user", "kept"));
    test_home.start();
    let (lock, socket) = (test_home.lock(), test_home.path("agent.sock"));
    let pair = only_pair(&lock);
    let kept = Some(("user".to_owned(), "kept".to_owned()));
    for both in [false, true, true] {
        if both {
            fs::remove_dir_all(&lock).unwrap();
        }
        fs::remove_file(&socket).unwrap();
        wait_until("the socket is not made again", || socket.exists());
        wait_until("the lock is not made again", || lock.join("supervisor").exists());
        assert_eq!(test_home.exit_of(&["start"]), 0);
        assert_eq!(test_home.credential(SERVER), kept);
        let now = only_pair(&lock);
        assert_eq!((now.supervisor, now.agent), (pair.supervisor.clone(), pair.agent.clone()));
    }
}

#[test]
fn an_agent_that_starts_while_socket_and_lock_are_gone_is_taken_over() {
    let mut test_home = TestHome::new();
    let (lock, socket) = (test_home.lock(), test_home.path("agent.sock"));
    for by in ["start", "helper"] {
        test_home.declare_anew("KEPT", SERVER, ("user", by));
        test_home.sync();
        let pair = only_pair(&lock);
        // What cannot be woken cannot be the first to take the lock again.
        let send = |signal| kill(Pid::from_raw(pair.supervisor.pid), signal).unwrap();
        send(Signal::SIGSTOP);
        fs::remove_dir_all(&lock).unwrap();
        fs::remove_file(&socket).unwrap();
        if by == "start" {
            assert_eq!(test_home.exit_of(&["start"]), 0);
        } else {
            test_home.credential(SERVER);
        }
        let other = only_pair(&lock).supervisor;
        assert_ne!(other, pair.supervisor);
        send(Signal::SIGCONT);
        wait_until("there are two agents", || only_pair(&lock).supervisor == pair.supervisor);
        wait_until("the other agent is left", || !is_alive(other.pid) && !is_alive(pair.agent.pid));
        let kept = Some(("user".to_owned(), by.to_owned()));
        assert_eq!(test_home.credential(SERVER), kept);
        assert_eq!(only_pair(&lock).supervisor, pair.supervisor);
    }
}

#[test]
fn hung_sockets_share_one_deadline() {
    let test_home = TestHome::new();
    for dir in ["run", "runtime/registry-agent"] {
        fs::create_dir_all(test_home.path(dir)).unwrap();
    }
    let _hung = ["run/agent.sock", "runtime/registry-agent/agent.sock"]
        .map(|path| hang_on(&test_home.path(path)));
    let script = format!(
        "mkdir /run/registry-agent && mount --bind run /run/registry-agent\n\
         export XDG_RUNTIME_DIR=$PWD/runtime\n\
         timeout 16 '{HELPER}' get"
    );
    let answer = run_with_input(&mut container(&test_home, &script), SERVER);
    assert_eq!(answer.status.code(), Some(1), "{}", output_text(&answer));
    assert_eq!(answer.stdout, b"credentials not found in native keychain\n");
}

#[test]
fn a_start_clears_a_stop_that_was_noted_in_another_lock_directory() {
    let test_home = TestHome::new();
    fs::create_dir_all(test_home.path(".config/registry-agent")).unwrap();
    let script = format!(
        "mount -t tmpfs tmpfs /dev/shm\n\
         mkdir -m 700 /tmp/registry-agent-0 && chown 12345 /tmp/registry-agent-0\n\
         '{AGENT}' stop && ls /dev/shm/registry-agent-0/stopped && rmdir /tmp/registry-agent-0\n\
         echo mistake > .config/registry-agent/config.toml\n\
         '{AGENT}' start\n\
         rm .config/registry-agent/config.toml\n\
         printf %s {SERVER} | '{HELPER}' get\n\
         '{AGENT}' status; echo \"status $?\"; '{AGENT}' stop"
    );
    let output = container(&test_home, &script).output().unwrap();
    let message = output_text(&output);
    assert!(message.contains("/dev/shm/registry-agent-0/stopped"), "{message}");
    assert!(message.contains("status 0"), "the helper did not start an agent: {message}");
}

#[test]
fn sudo_uses_the_agent_that_the_configured_user_started() {
    let test_home = TestHome::new();
    let script = format!(
        "cp /etc/passwd /etc/group . && mount -t tmpfs tmpfs /etc && cp passwd group /etc\n\
         mkdir /etc/registry-agent && echo 'user = \"nobody\"' > /etc/registry-agent/config.toml\n\
         mkdir -m 700 /tmp/home /tmp/runtime && chown 65534:65534 /tmp/home /tmp/runtime\n\
         as_nobody() {{ setpriv --reuid=65534 --regid=65534 --clear-groups \\\n\
             env HOME=/tmp/home XDG_RUNTIME_DIR=/tmp/runtime '{AGENT}' \"$1\"; }}\n\
         ACME_CONTAINER_REGISTRY_SERVER={SERVER} ACME_CONTAINER_REGISTRY_USER=nobodys \\\n\
             ACME_CONTAINER_REGISTRY_PASSWORD=password as_nobody start\n\
         printf %s {SERVER} | SUDO_UID=65534 '{HELPER}' get\n\
         as_nobody stop"
    );
    let output = container(&test_home, &script).output().unwrap();
    let message = output_text(&output);
    assert!(message.contains("\"Username\":\"nobodys\""), "{message}");
    assert!(output.stderr.is_empty(), "{message}");
}

#[test]
fn root_makes_no_socket_and_no_lock_where_another_user_could_replace_them() {
    let test_home = TestHome::new();
    let script = format!(
        "mkdir -m 755 theirs && chown 1000:1000 theirs\n\
         REGISTRY_AGENT_SOCKET=/mnt/theirs/agent.sock '{AGENT}' start\n\
         mkdir -m 1700 /run/theirs && chown 1000:1000 /run/theirs\n\
         XDG_RUNTIME_DIR=/run/theirs '{AGENT}' start && ls -d /tmp/registry-agent-0/agent.sock\n\
         '{AGENT}' stop\n\
         find theirs /run/theirs -mindepth 1"
    );
    let output = container(&test_home, &script).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let shown = output_text(&output);
    assert!(errors.contains("/mnt/theirs") && errors.contains("uid 1000"), "{shown}");
    assert!(shown.contains("/tmp/registry-agent-0/agent.sock"), "{shown}");
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(!found.lines().any(|line| line.contains("theirs/")), "{shown}");
}

#[test]
fn a_socket_is_for_everybody_whatever_the_umask_is() {
    for mask in ["000", "077"] {
        let test_home = TestHome::new();
        let start = format!("umask {mask} && '{AGENT}' start");
        let output = test_home.command("sh").args(["-c", &start]).output().unwrap();
        assert!(output.status.success(), "{}", output_text(&output));
        let mode = fs::metadata(test_home.path("agent.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666, "{mask}");
    }
}

/// A shell with this home directory, but its own `/run` and `/tmp`.
fn container(test_home: &TestHome, script: &str) -> Command {
    let script = format!(
        "set -e\nmount --bind '{home}' /mnt\nmount -t tmpfs tmpfs /run\nmount -t tmpfs tmpfs /tmp\n\
         unset REGISTRY_AGENT_SOCKET TMPDIR\nexport HOME=/mnt\ncd /mnt\nset +e\n{script}\n",
        home = test_home.path("").display(),
    );
    let mut command = test_home.command("unshare");
    command.args(["--mount", "sh", "-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A socket whose queue is full and whose listener never accepts a connection.
fn hang_on(path: &Path) -> Vec<OwnedFd> {
    let open = || {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap()
    };
    let address = UnixAddr::new(path).unwrap();
    let hung = open();
    bind(hung.as_raw_fd(), &address).unwrap();
    listen(&hung, Backlog::new(0).unwrap()).unwrap();
    let mut waiting = vec![hung];
    loop {
        let client = open();
        if connect(client.as_raw_fd(), &address).is_err() {
            return waiting;
        }
        waiting.push(client);
    }
}
