//! `exec`: the logins of package registries in the environment of one command.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;

use crate::support::package_registry::PackageRegistry;
use crate::support::processes::{only_pair, send};
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, run_with_input};

mod clients;
mod environment;

const TOKEN: &str = "s3cret-token";
const BEARER: &str = "Bearer s3cret-token";

/// A home whose agent has the login `ACME`, which the registry accepts.
fn home(registry: &PackageRegistry) -> TestHome {
    let mut home = TestHome::new();
    home.declare_packages("ACME", &[("SERVER", &registry.url("/")), ("PASSWORD", TOKEN)]);
    home.start_agent();
    home
}

/// `registry-agent exec`, which is the command itself once it runs.
fn exec(home: &TestHome, arguments: &[&str]) -> Command {
    let mut command = home.command(env!("CARGO_BIN_EXE_registry-agent"));
    command.arg("exec").args(arguments);
    command
}

/// The value that the command sees, and what is said on standard error.
fn value_of(home: &TestHome, variable: &str, names: &[&str]) -> (Option<String>, String) {
    let output = exec(home, &[names, &["--", "env", "-0"]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", output_text(&output));
    let environment = String::from_utf8(output.stdout).unwrap();
    let mut values = environment.split('\0').filter_map(|line| line.split_once('='));
    let value = values.find(|(name, _)| *name == variable).map(|(_, value)| value.to_owned());
    (value, String::from_utf8(output.stderr).unwrap())
}

fn status_and_text(output: &Output) -> (Option<i32>, String) {
    let text = output_text(output);
    assert!(!text.contains(TOKEN), "{text}");
    (output.status.code(), text)
}

#[test]
fn the_command_gets_the_variables_and_standard_error_their_names() {
    let registry = PackageRegistry::start(&[BEARER]);
    let home = home(&registry);
    for names in [&[][..], &["ACME"], &["acme"], &[&registry.url("/npm/private")]] {
        let (value, said) = value_of(&home, "REGISTRY_AGENT_ACME_PASSWORD", names);
        assert_eq!(value.as_deref(), Some(TOKEN));
        assert!(said.starts_with("registry-agent: env gets the logins of ACME in "), "{said}");
        assert!(said.contains("REGISTRY_AGENT_ACME_PASSWORD, "), "{said}");
        assert!(said.lines().count() == 1 && !said.contains(TOKEN), "{said}");
    }
}

#[test]
fn the_command_ends_as_it_would_without_exec() {
    let registry = PackageRegistry::start(&[BEARER]);
    let home = home(&registry);
    for code in [0, 7, 255] {
        let output = exec(&home, &["--", "sh", "-c", &format!("exit {code}")]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", output_text(&output));
    }
    let output = exec(&home, &["--", "sh", "-c", "kill -USR1 $$"]).output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::SIGUSR1 as i32), "{}", output_text(&output));
}

#[test]
fn a_signal_reaches_the_command() {
    let registry = PackageRegistry::start(&[BEARER]);
    let home = home(&registry);
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done";
    let mut command = Command::new(env!("CARGO_BIN_EXE_registry-agent"));
    command.args(["exec", "--", "sh", "-c", script]);
    command.env("REGISTRY_AGENT_SOCKET", home.path("agent.sock")).env("HOME", home.path("."));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    send(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn standard_input_and_other_descriptors_stay_open() {
    let registry = PackageRegistry::start(&[BEARER]);
    let home = home(&registry);
    let output = run_with_input(&mut exec(&home, &["--", "cat"]), "from standard input");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "from standard input");

    fs::write(home.path("file"), "from descriptor 7").unwrap();
    let mut shell = home.command("bash");
    let output =
        shell.args(["-c", "registry-agent exec -- sh -c 'cat <&7' 7< file"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "from descriptor 7");
}

#[test]
fn a_command_that_cannot_be_run_is_named() {
    let registry = PackageRegistry::start(&[BEARER]);
    let home = home(&registry);
    let script = home.path("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let script = script.display().to_string();
    for (program, code) in [("no-such-program", 127), (&script, 126)] {
        let output = exec(&home, &["--", program]).output().unwrap();
        let (status, text) = status_and_text(&output);
        assert_eq!(status, Some(code), "{text}");
        assert!(text.contains(&format!("registry-agent: {program} cannot be run: ")), "{text}");
    }
    for arguments in [&[][..], &["ACME"], &["npm", "ci"], &["ACME", "--"]] {
        let (status, text) = status_and_text(&exec(&home, arguments).output().unwrap());
        assert_eq!(status, Some(2), "{arguments:?}: {text}");
    }
    for (arguments, said) in [
        (&["npm", "ci"][..], "write `registry-agent exec -- npm ci`"),
        (&["npm", "install", "--save", "a b"], "exec -- npm install --save 'a b'`"),
        (&["ACME", "npm", "ci"], "write `registry-agent exec ACME -- npm ci`"),
        (&["ACME", "OTHER", "make", "-j2"], "write `registry-agent exec ACME OTHER -- make -j2`"),
        (&["https://h.test/npm/", "npm", "ci"], "exec https://h.test/npm/ -- npm ci`"),
        (&["ACME"], "has no command: write `registry-agent exec ACME -- COMMAND`"),
    ] {
        let (status, text) = status_and_text(&exec(&home, arguments).output().unwrap());
        assert_eq!(status, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

#[test]
fn a_login_that_is_named_and_missing_keeps_the_command_from_running() {
    let registry = PackageRegistry::start(&[BEARER]);
    let containers = Registry::start(&Auth::Htpasswd(&[("dev", "right")]), None);
    let mut home = TestHome::new();
    let run = |home: &TestHome, names: &[&str]| {
        let output = exec(home, &[names, &["--", "echo", "was run"]].concat()).output().unwrap();
        status_and_text(&output)
    };
    let refuses = |home: &TestHome, names: &[&str], why: &str| {
        let (status, text) = run(home, names);
        assert_eq!(status, Some(125), "{names:?}: {text}");
        assert!(text.contains(why) && !text.contains("was run"), "{names:?}: {text}");
    };
    let runs = |home: &TestHome, why: &str| {
        let (status, text) = run(home, &[]);
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains(why) && text.contains("was run"), "{text}");
        assert!(text.contains("registry-agent: no variable is set for echo"), "{text}");
    };
    // Public packages need no login.
    runs(&home, "no agent is running");
    refuses(&home, &["ACME"], "no agent is running");
    home.declare("IMAGES", &containers.server(), ("dev", "right"));
    home.start_agent();
    runs(&home, "no package registry is declared; set and export <NAME>_PACKAGE_REGISTRY");
    refuses(&home, &["IMAGES"], "IMAGES is a container registry");

    home.declare_packages("ACME", &[("SERVER", &registry.url("/")), ("PASSWORD", TOKEN)]);
    let other = registry.url("/other/");
    home.declare_packages("OTHER", &[("SERVER", &other), ("PASSWORD", "wrong")]);
    home.sync();
    home.exit_of(&["wait"]);
    refuses(&home, &["ACEM"], "ACEM is not declared (did you mean ACME?)");
    refuses(&home, &["OTHER"], "rejected");
    refuses(&home, &["ACME", "OTHER"], "rejected");
    // Without a name, the others serve.
    let (status, text) = run(&home, &[]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains(&format!("{other} is omitted: ")) && text.contains("was run"), "{text}");
    assert!(!text.contains("REGISTRY_AGENT_OTHER"), "{text}");

    registry.state().accepted.clear();
    home.exit_of(&["refresh"]);
    runs(&home, &format!("{} is omitted: ", registry.url("/")));
}

#[test]
fn an_agent_that_hangs_is_named_with_its_fix() {
    let registry = PackageRegistry::start(&[BEARER]);
    let home = home(&registry);
    let pair = only_pair(&home.lock());
    for process in [&pair.supervisor, &pair.agent] {
        send(process.pid, Signal::SIGSTOP);
    }
    let output = exec(&home, &["--", "true"]).output().unwrap();
    for process in [&pair.supervisor, &pair.agent] {
        send(process.pid, Signal::SIGCONT);
    }
    let text = output_text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("did not respond in time; run `kill -CONT "), "{text}");
}

#[test]
fn a_variable_that_is_set_already_keeps_its_value() {
    let registry = PackageRegistry::start(&[BEARER]);
    let home = home(&registry);
    let variable = "REGISTRY_AGENT_ACME_PASSWORD";
    let mut command = exec(&home, &["--", "printenv", variable]);
    let output = command.env(variable, "of the user").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "of the user\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("{variable} keeps the value that it has already")), "{said}");
    assert!(!said.contains("of the user"), "{said}");
    let nested = ["--", "registry-agent", "exec", "--", "true"];
    let said = output_text(&exec(&home, &nested).output().unwrap());
    assert!(!said.contains("keeps"), "{said}");
}

#[test]
fn the_socket_option_of_exec_is_not_taken_from_the_command() {
    let registry = PackageRegistry::start(&[BEARER]);
    let home = home(&registry);
    let socket = home.path("agent.sock").display().to_string();
    let given = format!("--socket={socket}");
    for ours in [&["--socket", &socket][..], &[&given]] {
        for theirs in [&["--socket", "x"][..], &["--socket=x"]] {
            let mut command = home.agent(&["exec"]);
            command.args(ours).args(["--", "echo"]).args(theirs);
            let output = command.env_remove("REGISTRY_AGENT_SOCKET").output().unwrap();
            assert!(output.status.success(), "{}", output_text(&output));
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), theirs.join(" "));
        }
    }
}
