//! An agent of another user that speaks the protocol and wants to deceive whoever asks it.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::{Pid, geteuid};

use crate::support::mounts::Mounted;
use crate::support::processes::wait_until;
use crate::support::test_home::{TestHome, output_text, succeed};

const NOBODY: u32 = 65534;
/// Where agents of all users listen in a dev container.
const SYSTEM_SOCKET: &str = "/run/registry-agent/agent.sock";

/// Answers every request with documents whose texts set the terminal's title, begin another line and turn
/// the direction of the text. It writes a line to a file for each connection.
const FALSE_AGENT: &str = r#"
import json, os, socket, sys
EVIL = "\x1b]0;pwn\x07\x9b31m\r\nproblem: forged\nfix: run `evil`\n\u202e"
NOW = "2026-11-28T13:30:50Z"
login = {"name": "N" + EVIL, "server": "s" + EVIL, "kind": EVIL, "keys": [EVIL], "user": EVIL,
         "source": EVIL, "state": "ready" + EVIL, "reason": EVIL, "hint": EVIL, "severity": "error",
         "code": EVIL, "step": EVIL, "proxy": EVIL,
         "remarks": [{"code": EVIL, "text": EVIL, "hint": EVIL}],
         "variables": [{"name": EVIL, "source": EVIL}]}
problem = {"name": EVIL, "source": EVIL, "problem": EVIL, "hint": EVIL, "code": EVIL, "kind": EVIL,
           "severity": "error"}
status = {"version": EVIL, "pid": 1, "started_at": NOW, "at": NOW, "seq": 1, "settled": True,
          "docker_config": EVIL, "registries": [login], "problems": [problem],
          "sources": [{"kind": EVIL, "name": EVIL, "updated_at": None, "declarations": 0}]}
event = {"seq": 1, "at": NOW, "event": EVIL, "subject": EVIL, "detail": EVIL}
refused = {"title": EVIL, "status": 403, "detail": EVIL, "hint": EVIL}

def answer(target):
    if target.startswith("/v1/status"):
        return "200 OK", json.dumps(status, ensure_ascii=False) + "\n"
    if target.startswith("/v1/events"):
        return "200 OK", json.dumps(event, ensure_ascii=False) + "\n"
    if target.startswith("/metrics"):
        return "200 OK", "forged_metric 1\n# " + EVIL + "\n"
    if target.startswith("/healthz"):
        return "200 OK", "ok\n"
    return "403 Forbidden", json.dumps(refused, ensure_ascii=False)

listener = socket.socket(socket.AF_UNIX)
os.umask(0)
listener.bind(sys.argv[1])
listener.listen(64)
print("listens", flush=True)
while True:
    client, _ = listener.accept()
    with open(sys.argv[2], "a") as file:
        file.write("connected\n")
    client.settimeout(1)
    try:
        code, body = answer(client.recv(65536).decode().split()[1])
        body = body.encode()
        head = f"HTTP/1.1 {code}\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
    except (OSError, IndexError):
        pass
    client.close()
"#;

/// An agent of `nobody`, which ends when dropped.
struct FalseAgent {
    process: Child,
    record: PathBuf,
}

impl FalseAgent {
    /// Starts it on `socket`, in a directory of its own.
    fn on(socket: &Path) -> Self {
        let directory = socket.parent().unwrap();
        fs::create_dir_all(directory).unwrap();
        fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
        let record = directory.join("connections");
        let mut process = Command::new("python3")
            .args(["-c", FALSE_AGENT])
            .args([socket, &record])
            .env("PYTHONUTF8", "1")
            .uid(NOBODY)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, record }
    }

    fn was_asked(&self) -> bool {
        self.record.exists()
    }
}

impl Drop for FalseAgent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The public directories of a machine of its own, which the calling thread and its processes see.
fn own_machine() -> Vec<Mounted> {
    ["/run", "/dev/shm", "/tmp", "/var/tmp"].map(|it| Mounted::tmpfs(Path::new(it), "64m")).into()
}

/// A command without `REGISTRY_AGENT_SOCKET`.
fn by_default(home: &TestHome, arguments: &[&str]) -> Command {
    let mut command = home.agent(arguments);
    command.env_remove("REGISTRY_AGENT_SOCKET").env("CLICOLOR_FORCE", "1");
    command
}

/// The same command on a terminal.
fn on_terminal(home: &TestHome, arguments: &[&str]) -> Output {
    let mut command = home.command("script");
    let agent = env!("CARGO_BIN_EXE_registry-agent");
    let line = format!("'{agent}' {}", arguments.join(" "));
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.env_remove("REGISTRY_AGENT_SOCKET").env("TERM", "xterm").output().unwrap()
}

fn assert_harmless(what: &str, text: &str) {
    assert!(!text.contains(['\u{7}', '\u{9b}', '\u{202e}']), "{what}: {text:?}");
    assert!(!text.contains("\u{1b}]"), "{what}: {text:?}");
    let is_forged =
        |line: &str| line.starts_with("problem: forged") || line.starts_with("fix: run `e");
    assert!(!text.lines().any(is_forged), "{what}: {text}");
}

#[test]
fn nothing_of_another_users_agent_in_a_public_directory_is_shown() {
    let _machine = own_machine();
    let home = TestHome::new();
    let socket = PathBuf::from(format!("/dev/shm/registry-agent-{}/agent.sock", geteuid()));
    let _agent = FalseAgent::on(&socket);
    let textfile = home.path("agent.prom").display().to_string();
    let assert_silent = |what: &str, text: &str| {
        assert_harmless(what, text);
        assert!(!text.contains("forged") && !text.contains("evil"), "{what}: {text}");
    };
    for (arguments, code) in [
        (&["status"][..], 4),
        (&["status", "--json"], 4),
        (&["wait", "--timeout", "2s"], 1),
        (&["wait", "--json", "--timeout", "2s"], 1),
        (&["events"], 1),
        (&["events", "--json"], 1),
        (&["events", "--follow"], 1),
        (&["check"], 1),
        (&["metrics"], 0),
        (&["metrics", "--textfile", &textfile], 0),
    ] {
        let output = by_default(&home, arguments).output().unwrap();
        let text = output_text(&output);
        assert_silent(&format!("{arguments:?}"), &text);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains("belongs to "), "{arguments:?}: {text}");
    }
    let metrics = fs::read_to_string(textfile).unwrap();
    assert_silent("the text file", &metrics);
    assert!(metrics.contains("registry_agent_up 0\n"), "{metrics}");
    for arguments in [&["status"][..], &["status", "--watch"], &["wait", "--timeout", "2s"]] {
        assert_silent(&format!("{arguments:?}"), &output_text(&on_terminal(&home, arguments)));
    }
    let absence = by_default(&home, &["status", "--json"]).output().unwrap();
    let absence: serde_json::Value = serde_json::from_slice(&absence.stdout).unwrap();
    assert_eq!(absence["code"], "agent-of-another-user", "{absence}");
}

#[test]
fn what_the_agent_of_another_user_says_is_shown_as_printable_text() {
    let _machine = own_machine();
    let home = TestHome::new();
    let agent = FalseAgent::on(Path::new(SYSTEM_SOCKET));
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["wait", "--timeout", "2s"],
        &["wait", "--json", "--timeout", "2s"],
        &["events"],
        &["events", "--json"],
        &["check"],
        &["refresh"],
        &["metrics"],
    ] {
        let output = by_default(&home, arguments).output().unwrap();
        assert_harmless(&format!("{arguments:?}"), &output_text(&output));
    }
    for arguments in [&["status"][..], &["wait", "--timeout", "2s"], &["events"]] {
        assert_harmless(&format!("{arguments:?}"), &output_text(&on_terminal(&home, arguments)));
    }
    assert!(agent.was_asked());
    // Anybody may read the status of the agent in the system's directory.
    let status = by_default(&home, &["status", "--json"]).output().unwrap();
    assert_eq!(status.status.code(), Some(4), "{}", output_text(&status));
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert!(status["registries"][0]["name"].as_str().unwrap().starts_with('N'), "{status}");
    // So is that of an agent on a socket that the user chose.
    let chosen = home.path("theirs/agent.sock");
    fs::set_permissions(home.path(""), Permissions::from_mode(0o755)).unwrap();
    let _chosen = FalseAgent::on(&chosen);
    let mut command = home.agent(&["status"]);
    let output = command.env("REGISTRY_AGENT_SOCKET", &chosen).output().unwrap();
    let text = output_text(&output);
    assert_harmless("a chosen socket", &text);
    assert!(text.contains("forged"), "{text}");
}

/// Fills the queue of a process that does not accept, so that nobody else can connect.
fn fill_queue(path: &Path) -> Vec<UnixStream> {
    let mut kept = Vec::new();
    loop {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        let address = UnixAddr::new(path).unwrap();
        match connect(fd.as_raw_fd(), &address) {
            Ok(()) => kept.push(UnixStream::from(fd)),
            Err(Errno::EAGAIN) => return kept,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_full_queue_beside_another_users_agent_makes_no_command_fail() {
    let _machine = own_machine();
    let mut home = TestHome::new();
    home.declare("ACME", "127.0.0.1:1", ("user", "password"));
    let runtime = home.path("runtime");
    fs::create_dir(&runtime).unwrap();
    let in_runtime = |mut command: Command| {
        command.env_remove("REGISTRY_AGENT_SOCKET").env("XDG_RUNTIME_DIR", &runtime);
        command
    };
    succeed(&mut home.with_declared(in_runtime(home.agent(&["start"]))));
    let status = in_runtime(home.agent(&["status", "--json"])).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let agent = Pid::from_raw(i32::try_from(status["pid"].as_i64().unwrap()).unwrap());
    let theirs = PathBuf::from(format!("/dev/shm/registry-agent-{}/agent.sock", geteuid()));
    let false_agent = FalseAgent::on(&theirs);

    kill(agent, Signal::SIGSTOP).unwrap();
    let flood = fill_queue(&runtime.join("registry-agent/agent.sock"));
    let export = std::thread::scope(|scope| {
        let export = scope.spawn(|| {
            let arguments = ["export", "docker-config", "ACME"];
            in_runtime(home.agent(&arguments)).output().unwrap()
        });
        wait_until("it does not look for its agent", || {
            false_agent.was_asked() || export.is_finished()
        });
        drop(flood);
        kill(agent, Signal::SIGCONT).unwrap();
        export.join().unwrap()
    });
    succeed(&mut in_runtime(home.agent(&["stop"])));
    let text = output_text(&export);
    assert!(export.status.success() && text.contains("127.0.0.1:1"), "{text}");
}
