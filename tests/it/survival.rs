//! Whatever is killed, and whatever starts how often at once: one agent, and nothing lost.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::processes::{self, Pair, Process, only_pair};
use crate::support::test_home::{TestHome, credential, output_text, run_with_input, succeed};

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";
const AGENT: &str = env!("CARGO_BIN_EXE_registry-agent");
const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");
const ROUNDS: usize = 200;

#[test]
fn kill_9_at_any_instant_of_a_push_loses_nothing() {
    // Orphans become children of this process, so that they can be seen and reaped.
    prctl::set_child_subreaper(true).unwrap();
    let mut test_home = TestHome::new();
    let lock = test_home.lock();
    declare(&mut test_home, 0);
    test_home.sync();
    let mut most = (0, 0);
    for round in 1..=ROUNDS {
        let before = only_pair(&lock);
        declare(&mut test_home, round);
        let mut push = test_home.with_declared(test_home.agent(&["sync"]));
        let push = push.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        registry_agent::adapters::clock::pause(Duration::from_micros(fastrand::u64(..60_000)));
        let victims = ["agent", "supervisor", "both"][round % 3];
        for (victim, process) in [("supervisor", &before.supervisor), ("agent", &before.agent)] {
            if victims == victim || victims == "both" {
                processes::kill_9(process);
            }
        }
        let pushed = push.wait_with_output().unwrap();
        let told = format!("round {round}, killed {victims}: {}", output_text(&pushed));

        let got = if victims == "both" {
            let mut helper = test_home.command(HELPER);
            helper.arg("get");
            run_with_input(&mut test_home.with_declared(helper), SERVER)
        } else {
            assert!(pushed.status.success(), "{told}");
            test_home.helper("get", SERVER)
        };
        let login = ("user".to_owned(), format!("secret of {round}"));
        assert_eq!(credential(&got), Some(login), "{told}: {}", output_text(&got));

        let config = fs::read(test_home.path(".docker/config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["credHelpers"][SERVER], "registry-agent", "{told}");

        let after = only_pair(&lock);
        reap(&before, &after);
        for process in [&after.supervisor, &after.agent] {
            assert_eq!(processes::zombies_of(process.pid), [0; 0], "{told}");
        }
        let open = (count_fds(after.supervisor.pid), count_fds(after.agent.pid));
        most = if round <= 10 { (most.0.max(open.0), most.1.max(open.1)) } else { most };
        // A connection more may just be open.
        assert!(
            open.0 <= most.0 + 3 || round <= 10,
            "{told}: {:?}",
            processes::fds(after.supervisor.pid)
        );
        assert!(
            open.1 <= most.1 + 8 || round <= 10,
            "{told}: {:?}",
            processes::fds(after.agent.pid)
        );
    }
    assert_eq!(names(&test_home.path(".docker")), ["config.json"], "left over");
    assert_eq!(
        names(&test_home.path(".local/state/registry-agent")),
        ["agent.log", "published.json"],
        "left over"
    );
}

#[test]
fn kill_9_of_a_supervisor_and_then_of_the_agent_that_replaces_it_loses_nothing() {
    prctl::set_child_subreaper(true).unwrap();
    let mut test_home = TestHome::new();
    test_home.start();
    let lock = test_home.lock();
    for round in 0..60 {
        let secret = format!("secret of {round}");
        test_home.declare_anew("KEPT", SERVER, ("user", &secret));
        test_home.sync();
        let before = only_pair(&lock);
        processes::kill_9(&before.supervisor);
        // Alone, it could leave nothing to anybody.
        let replaces = |process: &Process| process.parent == before.agent.pid;
        processes::wait_until("no agent follows", || {
            processes::holders(&lock).iter().any(replaces)
        });
        registry_agent::adapters::clock::pause(Duration::from_micros(fastrand::u64(..20_000)));
        processes::kill_9(&before.agent);
        assert_eq!(test_home.credential(SERVER), Some(("user".to_owned(), secret)), "{round}");
        reap(&before, &only_pair(&lock));
    }
}

#[test]
fn no_process_of_the_same_user_reads_the_state_while_it_passes_to_the_next_agent() {
    let mut test_home = TestHome::new();
    let lock = test_home.lock();
    chown(test_home.path(""), Some(NOBODY), Some(NOBODY)).unwrap();
    test_home.declare("KEPT", SERVER, ("user", "planted"));
    // Opens what the newest processes of the machine hold in memory.
    let script = r#"
        until (-e "done") {
            open(LOAD, "/proc/loadavg");
            my ($last) = <LOAD> =~ /(\d+)$/;
            for my $fd (map { my $pid = $_; map { "/proc/$pid/fd/$_" } 3..9 } $last - 20..$last) {
                next unless (readlink($fd) || "") =~ m{^/memfd:};
                open(MEMORY, "<", $fd) or next;
                local $/;
                print "$fd\n" if <MEMORY> =~ /planted/;
            }
        }"#;
    let mut reader = command_as_nobody(&test_home);
    let reader = reader.args(["perl", "-e", script]).stdout(Stdio::piped()).spawn().unwrap();
    succeed(&mut test_home.with_declared(as_nobody(&test_home, "start")));
    for round in 0..60 {
        let pair = only_pair(&lock);
        processes::kill_9(if round % 2 == 0 { &pair.agent } else { &pair.supervisor });
        processes::wait_until("no agent follows", || only_pair(&lock).agent.pid != pair.agent.pid);
    }
    succeed(&mut as_nobody(&test_home, "stop"));
    // `run` hands its environment to itself.
    for _ in 0..10 {
        let mut service = test_home.with_declared(as_nobody(&test_home, "run")).spawn().unwrap();
        processes::wait_until("`run` does not start", || processes::holders(&lock).len() == 2);
        only_pair(&lock);
        succeed(&mut as_nobody(&test_home, "stop"));
        service.wait().unwrap();
    }
    fs::write(test_home.path("done"), "").unwrap();
    let found = reader.wait_with_output().unwrap();
    assert!(found.status.success());
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "", "read by another process");
    fs::remove_dir_all(lock).unwrap();
}

#[test]
fn a_stopped_supervisor_keeps_nobody_waiting_and_gets_the_newest_state() {
    let mut test_home = TestHome::new();
    test_home.start();
    let pair = only_pair(&test_home.lock());
    let send = |signal| kill(Pid::from_raw(pair.supervisor.pid), signal).unwrap();
    send(Signal::SIGSTOP);
    for round in 0..400 {
        test_home.declare_anew("KEPT", SERVER, ("user", &format!("secret of {round}")));
        test_home.sync();
    }
    send(Signal::SIGCONT);
    // The rest of the queue is followed by the newest state within a second.
    registry_agent::adapters::clock::pause(Duration::from_secs(3));
    processes::kill_9(&pair.agent);
    let newest = ("user".to_owned(), "secret of 399".to_owned());
    assert_eq!(test_home.credential(SERVER), Some(newest));
}

#[test]
fn fifty_starts_at_once_make_one_agent() {
    let test_home = TestHome::new();
    let starts: Vec<_> = (0..50)
        .map(|_| test_home.agent(&["start"]).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for start in starts {
        let output = start.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", output_text(&output));
    }
    only_pair(&test_home.lock());
}

#[test]
fn fifty_starts_of_a_user_without_rights_make_one_agent() {
    let test_home = TestHome::new();
    let lock = test_home.lock();
    chown(test_home.path(""), Some(NOBODY), Some(NOBODY)).unwrap();
    let starts: Vec<_> = (0..50)
        .map(|_| as_nobody(&test_home, "start").stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for start in starts {
        let output = start.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", output_text(&output));
    }
    let pair = only_pair(&lock);
    let status = fs::read_to_string(format!("/proc/{}/status", pair.agent.pid)).unwrap();
    assert!(
        status.contains(&format!("\nUid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n")),
        "{status}"
    );
    succeed(&mut as_nobody(&test_home, "stop"));
    // What is left belongs to the test home again.
    fs::remove_dir_all(lock).unwrap();
}

#[test]
fn fifty_starts_of_root_and_of_its_configured_user_make_one_agent() {
    let test_home = TestHome::new();
    let home = test_home.path("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(CONFIGURED), Some(CONFIGURED)).unwrap();
    fs::set_permissions(test_home.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    // The user's first `start` may come before root has made `/run/registry-agent`.
    let script = format!(
        "set -eu\n\
         cp -a /etc '{test_home}/etc'\n\
         mkdir -p '{test_home}/etc/registry-agent'\n\
         echo 'user = \"someone\"' > '{test_home}/etc/registry-agent/config.toml'\n\
         echo 'someone:x:{CONFIGURED}:{CONFIGURED}::{home}:/bin/sh' >> '{test_home}/etc/passwd'\n\
         mount --bind '{test_home}/etc' /etc\n\
         mount -t tmpfs tmpfs /run\n\
         unset REGISTRY_AGENT_SOCKET\n\
         as_user() {{ setpriv --reuid={CONFIGURED} --regid={CONFIGURED} --clear-groups \\\n\
             env HOME='{home}' \"$@\"; }}\n\
         pids=\n\
         for i in $(seq 25); do\n\
             '{agent}' start > /dev/null & pids=\"$pids $!\"\n\
             as_user '{agent}' start > /dev/null & pids=\"$pids $!\"\n\
         done\n\
         for pid in $pids; do wait $pid || echo \"start failed\"; done\n\
         cd /run/registry-agent && [ -e agent.sock ] || cd /tmp/registry-agent-{CONFIGURED}\n\
         echo socket $(stat -c %u agent.sock)\n\
         cd /\n\
         echo processes $(ps -o args= -u {CONFIGURED} | grep -c '^registry-agent')\n\
         as_user '{agent}' stop > /dev/null\n\
         rm -rf /tmp/registry-agent-{CONFIGURED}\n",
        test_home = test_home.path("").display(),
        home = home.display(),
        agent = reachable_agent(&test_home).display(),
    );
    let output = succeed(test_home.command("unshare").args(["--mount", "sh", "-c", &script]));
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, format!("socket {CONFIGURED}\nprocesses 2\n"), "{}", output_text(&output));
}

const NOBODY: u32 = 65534;
/// A user that no machine has.
const CONFIGURED: u32 = 41_042;

fn declare(test_home: &mut TestHome, round: usize) {
    test_home.declare_anew("KEPT", SERVER, ("user", &format!("secret of {round}")));
    // Each push has another set of servers, so that the docker configuration is written.
    test_home.declare_anew("OTHER", &format!("127.0.0.1:{}", 2 + round % 5), ("other", "secret"));
}

/// Takes notice of the end of those that died and were nobody's children any more.
fn reap(before: &Pair, after: &Pair) {
    for process in [&before.supervisor, &before.agent] {
        if process.pid != after.supervisor.pid && process.pid != after.agent.pid {
            // Another process's child is not ours to reap.
            let _ = waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}

fn count_fds(pid: i32) -> usize {
    processes::fds(pid).len()
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn as_nobody(test_home: &TestHome, verb: &str) -> Command {
    let mut command = command_as_nobody(test_home);
    command.arg(reachable_agent(test_home)).arg(verb);
    command
}

fn command_as_nobody(test_home: &TestHome) -> Command {
    let mut command = test_home.command("setpriv");
    let id = NOBODY.to_string();
    command.args([&format!("--reuid={id}"), &format!("--regid={id}"), "--clear-groups"]);
    command
}

/// The program where any user may run it: the checkout can be in a home that is closed.
fn reachable_agent(test_home: &TestHome) -> PathBuf {
    let copy = test_home.path("registry-agent");
    if !copy.exists() {
        fs::copy(AGENT, &copy).unwrap();
    }
    copy
}
