//! The agent itself: it does not run, hangs, or finds no directory for its lock.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Fault, PASSWORD, USER, assert_well, home_for, registry};
use crate::support::processes::{holders, kill_9, only_pair, wait_until};
use crate::support::test_home::{TestHome, output_text, run_with_input, succeed};

const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");
/// A user that no machine has.
const OTHER: u32 = 41_044;

/// What `check` prints after `fix: `, which must contain `part`. It exits with 1.
fn fix_of_check(home: &TestHome, part: &str) -> String {
    let check = home.agent(&["check"]).output().unwrap();
    let text = output_text(&check);
    assert_eq!(check.status.code(), Some(1), "{text}");
    assert!(text.contains(part), "{part:?} is not in {text}");
    let (_, fix) = text.split_once("fix: ").unwrap_or_else(|| panic!("no fix: {text}"));
    fix.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first command of a text, which is in backquotes.
fn command_in(text: &str) -> &str {
    text.split('`').nth(1).unwrap_or_else(|| panic!("no command: {text}"))
}

fn paste(home: &TestHome, command: &str) {
    let mut shell = home.command("sh");
    shell.args(["-c", command]);
    succeed(&mut home.with_declared(shell));
}

#[test]
fn whether_it_never_ran_was_stopped_or_died_the_printed_line_starts_it() {
    let registry = registry();
    let home = home_for(&registry);
    let ends: [fn(&TestHome); 3] = [
        |_| {},
        |home| {
            succeed(&mut home.agent(&["stop"]));
        },
        |home| {
            let lock = home.lock();
            let pair = only_pair(&lock);
            // A stopped agent does not take the place of its supervisor.
            kill(Pid::from_raw(pair.agent.pid), Signal::SIGSTOP).unwrap();
            kill_9(&pair.supervisor);
            kill_9(&pair.agent);
            wait_until("it lives on", || holders(&lock).is_empty());
        },
    ];
    for end in ends {
        end(&home);
        let status = home.agent(&["status"]).output().unwrap();
        let text = output_text(&status);
        assert_eq!(status.status.code(), Some(4), "{text}");
        assert_eq!(command_in(&text), "registry-agent sync", "{text}");
        assert_eq!(command_in(&fix_of_check(&home, "no agent is running")), "registry-agent sync");
        paste(&home, "registry-agent sync");
        assert_well(&home, &registry.server(), (USER, PASSWORD));
    }
}

/// Kills agent and supervisor at once, so that neither can start the other again.
fn kill_both(home: &TestHome) {
    let lock = home.lock();
    let pair = only_pair(&lock);
    for process in [&pair.agent, &pair.supervisor] {
        kill(Pid::from_raw(process.pid), Signal::SIGSTOP).unwrap();
    }
    kill_9(&pair.supervisor);
    kill_9(&pair.agent);
    wait_until("it lives on", || holders(&lock).is_empty());
}

#[test]
fn logins_that_died_with_agent_and_supervisor_are_named_until_they_are_sent_again() {
    let registry = registry();
    let server = registry.server();
    let home = home_for(&registry);
    home.sync();
    assert_well(&home, &server, (USER, PASSWORD));
    let published = fs::read_to_string(home.path(".docker/config.json")).unwrap();
    kill_both(&home);
    // docker starts a new agent, which has none of the variables.
    let get = home.helper("get", &server);
    let text = output_text(&get);
    let lost = format!("the login for {server} that `sync` declared is lost");
    assert!(!get.status.success() && text.contains(&lost), "{text}");
    assert!(text.contains("registry-agent sync"), "{text}");
    let fault = Fault::error(&home, "login-lost");
    fault.says(&[&lost]).checked(&home, &["ACME"], 1).checked(&home, &[], 1);
    fault.checked(&home, &[&server], 1);
    for command in [["sync"].as_slice(), &["refresh", "ACME"]] {
        let said = home.agent(command).output().unwrap();
        let text = output_text(&said);
        assert_eq!(said.status.code(), Some(1), "{command:?}: {text}");
        assert!(text.contains(&lost) && text.contains(&fault.fix), "{command:?}: {text}");
    }
    assert_eq!(fs::read_to_string(home.path(".docker/config.json")).unwrap(), published);
    // The next one knows it as well, and so does one that gets another login.
    kill_both(&home);
    home.start();
    assert_well(&home, &server, (USER, PASSWORD));
    kill_both(&home);
    succeed(&mut home.agent(&["start"]));
    let fault = Fault::error(&home, "login-lost");
    fault.paste(&home);
    Fault::is_gone(&home, "login-lost");
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn a_login_that_died_with_its_agent_can_be_forgotten_and_one_that_was_stopped_is() {
    let registry = registry();
    let home = home_for(&registry);
    home.sync();
    kill_both(&home);
    succeed(&mut home.agent(&["start"]));
    let fault = Fault::error(&home, "login-lost");
    let mut shell = home.command("sh");
    let commands: Vec<&str> = fault.fix.split('`').collect();
    succeed(shell.args(["-c", commands[3]]));
    assert_eq!(home.exit_of(&["status"]), 0, "{:#}", home.status());
    let config = fs::read_to_string(home.path(".docker/config.json")).unwrap();
    assert!(!config.contains(&registry.server()), "{config}");
}

#[test]
fn an_agent_that_hangs_is_replaced_by_the_printed_line_and_loses_nothing() {
    let registry = registry();
    let home = home_for(&registry);
    home.sync();
    assert_well(&home, &registry.server(), (USER, PASSWORD));
    let pair = only_pair(&home.lock());
    kill(Pid::from_raw(pair.agent.pid), Signal::SIGSTOP).unwrap();
    let fix = fix_of_check(&home, "does not answer");
    assert_eq!(command_in(&fix), format!("kill -9 {}", pair.agent.pid));
    // As a shell without any of the variables.
    succeed(home.command("sh").args(["-c", command_in(&fix)]));
    assert_well(&home, &registry.server(), (USER, PASSWORD));
    assert_eq!(only_pair(&home.lock()).supervisor, pair.supervisor);
}

#[test]
fn an_agent_and_a_supervisor_that_a_signal_stopped_are_revived_by_the_printed_line() {
    let registry = registry();
    let home = home_for(&registry);
    home.sync();
    assert_well(&home, &registry.server(), (USER, PASSWORD));
    let pair = only_pair(&home.lock());
    for process in [&pair.supervisor, &pair.agent] {
        kill(Pid::from_raw(process.pid), Signal::SIGSTOP).unwrap();
    }
    let fix = fix_of_check(&home, "does not answer");
    let helper = home.helper("get", &registry.server());
    let told = String::from_utf8(helper.stderr).unwrap();
    assert_eq!(command_in(&told), command_in(&fix), "{told}");
    // As a shell without any of the variables.
    succeed(home.command("sh").args(["-c", command_in(&fix)]));
    assert_well(&home, &registry.server(), (USER, PASSWORD));
    assert_eq!(only_pair(&home.lock()).supervisor, pair.supervisor);
}

#[test]
fn an_agent_that_is_starting_is_not_called_silent() {
    let registry = registry();
    let home = home_for(&registry);
    for _ in 0..10 {
        home.exit_of(&["stop"]);
        let mut sync = home.with_declared(home.agent(&["sync"]));
        let mut sync = sync.stdout(Stdio::null()).spawn().unwrap();
        while sync.try_wait().unwrap().is_none() {
            let check = output_text(&home.agent(&["check"]).output().unwrap());
            assert!(!check.contains("does not answer"), "{check}");
        }
    }
}

#[test]
fn a_lock_directory_of_another_user_is_named_and_the_printed_line_chooses_another_one() {
    let registry = registry();
    let mut home = home_for(&registry);
    let lock = home.lock();
    fs::create_dir(&lock).unwrap();
    chown(&lock, Some(OTHER), Some(OTHER)).unwrap();
    let said = format!("{}: it belongs to uid {OTHER}", lock.display());
    for command in ["sync", "start"] {
        let failed = home.with_declared(home.agent(&[command])).output().unwrap();
        let text = output_text(&failed);
        assert_eq!(failed.status.code(), Some(1), "{text}");
        assert!(text.contains(&said) && text.contains("set REGISTRY_AGENT_SOCKET"), "{text}");
    }
    let status = home.agent(&["status"]).output().unwrap();
    let text = output_text(&status);
    assert_eq!(status.status.code(), Some(4), "{text}");
    assert!(text.contains(&said) && text.contains("export REGISTRY_AGENT_SOCKET"), "{text}");
    let fix = fix_of_check(&home, &said);
    paste(&home, command_in(&fix));
    let socket = home.path(".cache/registry-agent/agent.sock");
    assert!(Path::new(&socket).exists(), "{fix}");
    home.set("REGISTRY_AGENT_SOCKET", socket.to_str().unwrap());
    for arguments in [&["wait"][..], &["check", "ACME"], &["stop"]] {
        succeed(&mut home.with_declared(home.agent(arguments)));
    }
    fs::remove_dir(&lock).unwrap();
}

#[test]
fn no_agent_starts_in_a_directory_of_another_user_and_the_printed_line_chooses_another_one() {
    let registry = registry();
    let mut home = home_for(&registry);
    let theirs = home.path("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(OTHER), Some(OTHER)).unwrap();
    let socket = theirs.join("agent.sock").display().to_string();
    home.set("REGISTRY_AGENT_SOCKET", &socket);
    let said = format!("{}: it belongs to uid {OTHER}", theirs.display());
    let run = |arguments: &[&str]| {
        let output = home.with_declared(home.agent(arguments)).output().unwrap();
        (output.status.code(), output_text(&output))
    };
    for (command, status) in [("sync", 1), ("start", 1), ("run", 1), ("status", 4), ("check", 1)] {
        let (code, text) = run(&[command]);
        assert!(code == Some(status) && text.contains(&said), "{command}: {code:?} {text}");
    }
    let mut helper = home.with_declared(home.command(HELPER));
    let asked = output_text(&run_with_input(helper.arg("get"), &registry.server()));
    assert!(asked.contains(&said), "{asked}");
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0, "something was made there");

    let (_, text) = run(&["check"]);
    let (_, fix) = text.split_once("fix: ").unwrap_or_else(|| panic!("no fix: {text}"));
    let fix = fix.split_whitespace().collect::<Vec<_>>().join(" ");
    paste(&home, command_in(&fix));
    let chosen = home.path(".cache/registry-agent/agent.sock").display().to_string();
    home.set("REGISTRY_AGENT_SOCKET", &chosen);
    for arguments in [&["wait"][..], &["check", "ACME"], &["stop"]] {
        succeed(&mut home.with_declared(home.agent(arguments)));
    }
}
