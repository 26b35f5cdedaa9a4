//! The help texts, the manual pages and the shell completions.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::package_registry::PackageRegistry;
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, succeed};

#[path = "../../examples/manual.rs"]
#[expect(dead_code, reason = "`main` is for `cargo run`")]
mod manual_writer;

const LOGIN: (&str, &str) = ("puller", "secret");

/// The commands that `registry-agent --help` lists.
fn commands(home: &TestHome) -> Vec<String> {
    let help = output_text(&succeed(&mut home.agent(&["--help"])));
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let first = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    let entries = list.lines().filter(|line| !line.starts_with("   "));
    entries.map(first).filter(|name| name != "help").collect()
}

#[test]
fn every_example_in_the_help_works_as_pasted() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), LOGIN);
    let packages = PackageRegistry::start(&["Bearer token"]);
    home.declare_packages("ACME", &[("SERVER", &packages.url("/")), ("PASSWORD", "token")]);
    // What the examples of `exec` run.
    for program in ["npm", "bundle"] {
        symlink("/bin/true", home.path("bin").join(program)).unwrap();
    }
    home.sync();
    let mut commands = commands(&home);
    assert!(commands.len() > 10, "{commands:?}");
    // These end the agent that the others ask.
    commands.sort_by_key(|name| ["stop", "run", "reset"].contains(&name.as_str()));
    for name in commands {
        let help = output_text(&succeed(&mut home.agent(&[&name, "--help"])));
        let examples = help.split("\nExamples:\n").nth(1);
        let examples = examples.unwrap_or_else(|| panic!("no examples: {help}"));
        for example in examples.lines().map(str::trim).filter(|line| !line.is_empty()) {
            assert!(example.len() < 78, "a terminal would wrap it: {example}");
            let mut shell = home.command("sh");
            let line = if name == "run" {
                // It ends when it is told to.
                home.exit_of(&["stop"]);
                format!("timeout --preserve-status 5 sh -c 'exec env {example}'")
            } else {
                example.to_owned()
            };
            shell.args(["-c", &line]);
            let output = home.with_declared(shell).output().unwrap();
            assert!(output.status.success(), "{example}: {}", output_text(&output));
        }
    }
}

#[test]
fn the_socket_option_means_the_same_as_the_variable() {
    let home = TestHome::new();
    home.start();
    let socket = home.path("agent.sock").display().to_string();
    for arguments in [
        &["--socket", &socket, "status"][..],
        &["status", "--socket", &socket],
        &[&format!("--socket={socket}"), "status"],
    ] {
        let mut command = home.agent(arguments);
        let output = command.env_remove("REGISTRY_AGENT_SOCKET").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", output_text(&output));
    }
    let other = home.path("other.sock").display().to_string();
    assert_eq!(home.exit_of(&["--socket", &other, "status"]), 4);
    succeed(&mut home.agent(&["--socket", &other, "start"]));
    assert_eq!(home.exit_of(&["--socket", &other, "status"]), 0);
    succeed(&mut home.agent(&["--socket", &other, "stop"]));
    assert_eq!(home.exit_of(&["status"]), 0, "the other agent still runs");
}

#[test]
fn the_manual_pages_render_without_warnings_and_the_completions_are_written() {
    let share = tempfile::tempdir().unwrap();
    manual_writer::write(share.path()).unwrap();
    let pages = share.path().join("man/man1");
    let mut names = Vec::new();
    for page in fs::read_dir(&pages).unwrap() {
        let page = page.unwrap().path();
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(&page)
            .env("MANROFFSEQ", "");
        let output = man.env("LC_ALL", "C.UTF-8").output().unwrap();
        let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && warnings.is_empty(), "{}: {warnings}", page.display());
        names.push(page.file_name().unwrap().to_str().unwrap().to_owned());
    }
    let helper = "docker-credential-registry-agent";
    let helper_page = format!("{helper}.1");
    for name in [
        "registry-agent.1",
        "registry-agent-status.1",
        "registry-agent-sync.1",
        "registry-agent-credential-provider.1",
        &helper_page,
    ] {
        assert!(names.iter().any(|it| it == name), "{names:?}");
    }
    let page = fs::read_to_string(pages.join(helper_page)).unwrap();
    assert!(page.contains(concat!("agent ", env!("CARGO_PKG_VERSION"))));
    let usage =
        Command::new(env!("CARGO_BIN_EXE_docker-credential-registry-agent")).output().unwrap();
    let usage = String::from_utf8(usage.stdout).unwrap();
    for verb in usage.trim().rsplit(' ').next().unwrap().split('|') {
        assert!(page.contains(&format!(".TP\n\\fB{verb}\\fR\n")), "{verb} in {page}");
    }
    let hidden = ["supervise", "agent.1", "exchange"].map(|name| format!("registry-agent-{name}"));
    assert!(!names.iter().any(|name| hidden.iter().any(|it| name.starts_with(it))), "{names:?}");
    let bash = share.path().join("bash-completion/completions/registry-agent");
    succeed(Command::new("bash").arg("-n").arg(bash));
}
