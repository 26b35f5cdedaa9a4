//! `registry-agent run` as a service: takeovers, Debian's supervisord and s6.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use registry_agent::adapters::clock;

use crate::support::processes::{self, Pair, kill_9, only_pair, wait_until};
use crate::support::test_home::{TestHome, credential, output_text, succeed};

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";
/// What is pushed to a service.
const PUSHED: &str = "127.0.0.1:2";
const AGENT: &str = env!("CARGO_BIN_EXE_registry-agent");

#[test]
fn a_second_run_ends_and_leaves_the_first_alone() {
    let test_home = TestHome::new();
    test_home.start();
    let first = only_pair(&test_home.lock()).supervisor.pid;
    let second = test_home.agent(&["run"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(
        output_text(&second),
        format!(
            "registry-agent: an agent is already running (pid {first}): \
             run `registry-agent stop` first, and afterwards `registry-agent sync` in a shell that \
             has all variables, because stopping loses what shells have sent\n"
        )
    );
    assert_eq!(test_home.exit_of(&["status"]), 0);
}

#[test]
fn run_takes_over_an_agent_that_a_helper_started_and_what_was_pushed_to_it() {
    let mut test_home = TestHome::new();
    let lock = test_home.lock();
    assert_eq!(test_home.credential(SERVER), None);
    assert_eq!(only_pair(&lock).supervisor.role, "supervise", "the helper starts an agent");
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync();

    let mut service = test_home.agent(&["run"]);
    service.envs([
        ("OWN_CONTAINER_REGISTRY_SERVER", "127.0.0.1:2"),
        ("OWN_CONTAINER_REGISTRY_USER", "user"),
        ("OWN_CONTAINER_REGISTRY_PASSWORD", "own"),
    ]);
    let mut service = service.spawn().unwrap();
    let pair = service_pair(&lock);
    for (server, secret) in [(SERVER, "pushed"), ("127.0.0.1:2", "own")] {
        let login = Some(("user".to_owned(), secret.to_owned()));
        assert_eq!(test_home.credential(server), login);
    }
    // Nobody takes over a service.
    assert_eq!(test_home.exit_of(&["run"]), 1);
    assert_eq!(only_pair(&lock).supervisor, pair.supervisor);
    kill(Pid::from_raw(pair.supervisor.pid), Signal::SIGTERM).unwrap();
    assert!(service.wait().unwrap().success());
}

#[test]
fn the_agent_of_a_killed_run_serves_until_the_next_run_takes_it_over() {
    let mut test_home = TestHome::new();
    let lock = test_home.lock();
    for round in 0..10 {
        let mut service = test_home.agent(&["run"]).spawn().unwrap();
        let pair = service_pair(&lock);
        if round > 0 {
            let secret = format!("secret of {}", round - 1);
            assert_eq!(test_home.credential(SERVER), Some(("user".to_owned(), secret)));
        }
        let secret = format!("secret of {round}");
        test_home.declare_anew("PUSHED", SERVER, ("user", &secret));
        test_home.sync();
        kill_9(&pair.supervisor);
        assert!(!service.wait().unwrap().success());
        if round % 2 == 0 {
            assert_eq!(test_home.credential(SERVER), Some(("user".to_owned(), secret)));
        }
    }
}

#[test]
fn kill_9_of_either_side_while_run_takes_over_loses_nothing_and_one_agent_serves() {
    prctl::set_child_subreaper(true).unwrap();
    let mut test_home = TestHome::new();
    let lock = test_home.lock();
    for round in 0..60 {
        assert_eq!(test_home.exit_of(&["start", "--unless-stopped"]), 0);
        let secret = format!("secret of {round}");
        test_home.declare_anew("PUSHED", SERVER, ("user", &secret));
        test_home.sync();
        let old = only_pair(&lock);
        let mut service = Command::new(AGENT);
        let set = test_home.agent(&[]);
        let set = set.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut service =
            service.arg("run").env_clear().envs(set).stderr(Stdio::null()).spawn().unwrap();
        // The takeover begins when `run` listens for it.
        let runs = |process: &processes::Process| process.role == "run";
        wait_until("`run` does not take over", || {
            lock.join("takeover").exists() || processes::holders(&lock).iter().any(runs)
        });
        clock::pause(Duration::from_micros(fastrand::u64(..30_000)));
        let victim = [
            old.supervisor.pid,
            old.agent.pid,
            service.id().cast_signed(),
            processes::children_of(service.id().cast_signed(), "agent").pop().unwrap_or_default(),
        ][round % 4];
        if victim > 0 {
            let _ = kill(Pid::from_raw(victim), Signal::SIGKILL);
        }
        let told =
            format!("round {round}, killed {victim} of {:?} and {}", pids(&old), service.id());
        let killed_run = round % 4 == 2;
        wait_until(&told, || {
            let pair = only_pair(&lock);
            (pair.supervisor.role == "run") != killed_run && pair.agent.pid != victim
        });
        let login = Some(("user".to_owned(), secret));
        let got = test_home.helper("get", SERVER);
        assert_eq!(credential(&got), login, "{told}: {}", output_text(&got));
        assert_eq!(only_pair(&lock).supervisor.role == "run", !killed_run, "{told}");
        assert_eq!(test_home.exit_of(&["stop"]), 0);
        let _ = service.wait();
        fs::remove_file(lock.join("stopped")).unwrap();
    }
}

#[test]
fn of_several_runs_at_once_one_takes_over_and_nothing_is_lost() {
    let mut test_home = TestHome::new();
    let lock = test_home.lock();
    assert_eq!(test_home.credential(SERVER), None, "the helper starts an agent");
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync();
    let mut services: Vec<_> =
        (0..4).map(|_| test_home.agent(&["run"]).stderr(Stdio::null()).spawn().unwrap()).collect();
    service_pair(&lock);
    wait_until("the others do not end", || {
        services.iter_mut().filter_map(|one| one.try_wait().unwrap()).count() == 3
    });
    only_pair(&lock);
    assert_eq!(test_home.credential(SERVER), Some(("user".to_owned(), "pushed".to_owned())));
    assert_eq!(test_home.exit_of(&["stop"]), 0);
    let ended = services.iter_mut().map(|one| one.wait().unwrap().success());
    assert_eq!(ended.filter(|&success| success).count(), 1);
}

#[test]
fn run_and_its_agent_keep_nothing_of_the_environment() {
    let mut test_home = TestHome::new();
    test_home.declare("OWN", SERVER, ("user", "planted"));
    let mut service = test_home.with_declared(test_home.agent(&["run"])).spawn().unwrap();
    let lock = test_home.lock();
    let runs = || processes::holders(&lock).iter().any(|process| process.role == "run");
    wait_until("it does not start", runs);
    let pair = only_pair(&lock);
    assert_eq!(test_home.credential(SERVER), Some(("user".to_owned(), "planted".to_owned())));
    for process in [&pair.supervisor, &pair.agent] {
        let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap();
        let environment = String::from_utf8(environment).unwrap();
        assert!(environment.contains("HOME="), "{}: {environment}", process.role);
        assert!(!environment.contains("CONTAINER_REGISTRY"), "{}: {environment}", process.role);
    }
    kill(Pid::from_raw(pair.supervisor.pid), Signal::SIGTERM).unwrap();
    assert!(service.wait().unwrap().success());
}

#[test]
fn supervisord_brings_back_what_was_killed() {
    let mut test_home = TestHome::new();
    test_home.declare("KEPT", SERVER, ("user", "kept"));
    let home = test_home.path("");
    let program = include_str!("../../packaging/supervisord/registry-agent.conf")
        .replace("command=registry-agent", &format!("command={AGENT}"))
        .replace("/var/log", &home.display().to_string());
    let config = format!(
        "[supervisord]\nnodaemon=true\nlogfile={home}/supervisord.log\npidfile={home}/supervisord.pid\n\
         {program}",
        home = home.display()
    );
    fs::write(test_home.path("supervisord.conf"), config).unwrap();
    let mut supervisord = Command::new("/usr/bin/supervisord");
    supervisord.args(["--configuration", "supervisord.conf"]);
    let mut service = Service::start(&test_home, supervisord);
    comes_back(&mut test_home);
    service.end();
}

#[test]
fn s6_brings_back_what_was_killed() {
    let mut test_home = TestHome::new();
    test_home.declare("KEPT", SERVER, ("user", "kept"));
    fs::create_dir(test_home.path("service")).unwrap();
    let run = test_home.path("service/run");
    let script = include_str!("../../packaging/s6/run");
    fs::write(&run, script.replace("registry-agent run 2>&1", &format!("'{AGENT}' run 2>&1")))
        .unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    let mut s6 = Command::new("s6-supervise");
    s6.arg("service");
    let mut service = Service::start(&test_home, s6);
    comes_back(&mut test_home);
    // SIGTERM brings the service down and then ends s6-supervise.
    service.end();
}

#[test]
fn a_run_that_is_pid_1_reaps_orphans() {
    let test_home = TestHome::new();
    let lock = test_home.lock();
    let mut service = test_home.command("unshare");
    service.args(["--pid", "--fork", "--kill-child", AGENT, "run"]);
    let mut service = service.spawn().unwrap();
    let pair = service_pair(&lock);
    let pid = pair.supervisor.pid.to_string();
    let mut inside = test_home.command("nsenter");
    let script = "for i in 1 2 3; do sleep 2 > /dev/null 2>&1 & done";
    inside.args(["--target", &pid, "--pid", "sh", "-c", script]);
    succeed(&mut inside);
    let children = || processes::count_children(pair.supervisor.pid);
    wait_until("the orphans do not arrive", || children() == 4);
    wait_until("a dead orphan is left", || children() == 1);
    assert_eq!(only_pair(&lock).agent, pair.agent);
    assert_eq!(test_home.exit_of(&["stop"]), 0);
    assert!(service.wait().unwrap().success());
}

/// Kills the agent, then the process that the init system started, then both.
fn comes_back(test_home: &mut TestHome) {
    // The service started without it, so that only a push can know it.
    test_home.declare("PUSHED", PUSHED, ("user", "pushed"));
    let lock = test_home.lock();
    let kept = Some(("user".to_owned(), "kept".to_owned()));
    // A helper that is asked before would start an agent of its own.
    service_pair(&lock);
    assert_eq!(test_home.credential(SERVER), kept);
    let pushed = Some(("user".to_owned(), "pushed".to_owned()));
    for (main, agent) in [(false, true), (true, false), (true, true)] {
        let Pair { supervisor: first_main, agent: first_agent } = service_pair(&lock);
        test_home.sync();
        assert_eq!(test_home.credential(PUSHED), pushed);
        if main {
            kill_9(&first_main);
        }
        if agent {
            kill_9(&first_agent);
        }
        wait_until("it does not come back", || {
            let now = service_pair(&lock);
            (now.supervisor.pid != first_main.pid) == main && now.agent.pid != first_agent.pid
        });
        assert_eq!(test_home.credential(SERVER), kept);
        // Nothing is left that could know it when both are killed at once.
        if !(main && agent) {
            assert_eq!(test_home.credential(PUSHED), pushed);
        }
    }
}

fn pids(pair: &Pair) -> (i32, i32) {
    (pair.supervisor.pid, pair.agent.pid)
}

/// The processes of a service, once it runs.
fn service_pair(lock: &Path) -> Pair {
    wait_until("`run` does not serve", || only_pair(lock).supervisor.role == "run");
    only_pair(lock)
}

/// An init system that runs the agent in a test home.
struct Service(Child);

impl Service {
    fn start(test_home: &TestHome, mut init: Command) -> Self {
        let place = test_home.with_declared(test_home.command("true"));
        let set = place.get_envs().filter_map(|(name, value)| Some((name, value?)));
        init.env_clear().envs(set).current_dir(test_home.path("")).stdin(Stdio::null());
        Self(init.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn end(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        self.0.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.end();
        }
    }
}
