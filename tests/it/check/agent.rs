//! `check` and the agent: why none answers, another version, what this shell differs in.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Checked, PASSWORD, USER, registry};
use crate::support::processes::{kill_9, only_pair, wait_until};
use crate::support::test_home::{TestHome, output_text, succeed};

#[test]
fn why_no_agent_answers_is_said_with_a_fix_that_works() {
    let registry = registry();
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    let sync = |code: &str| {
        assert_eq!(Checked::of(&home, &[]).failed(), ("agent", code));
        home.sync();
        home.exit_of(&["wait"]);
        assert_eq!(Checked::of(&home, &["ACME"]).status, 0);
    };
    sync("agent-not-started");
    succeed(&mut home.agent(&["stop"]));
    sync("agent-stopped");
    kill_both(&home);
    sync("agent-ended");
}

#[test]
fn variables_of_this_shell_that_the_agent_does_not_know_are_named() {
    let registry = registry();
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (USER, "wrong"));
    home.sync();
    home.exit_of(&["wait"]);
    home.declare_anew("ACME", &registry.server(), (USER, PASSWORD));
    home.set("SSL_CERT_DIR", "/etc/ssl/certs");
    let check = || Checked::by(&mut home.with_declared(home.agent(&["check", "--json", "ACME"])));
    let checked = check();
    assert_eq!(checked.failed(), ("credential", "refused"));
    assert_eq!(checked.remarks("declared"), ["shell-differs"]);
    assert_eq!(checked.remarks("agent"), ["shell-differs"], "the certificates");
    let said = format!("{:?}", checked.steps);
    assert!(said.contains("ACME_CONTAINER_REGISTRY_PASSWORD in this shell differs"), "{said}");
    assert!(!said.contains("ACME_CONTAINER_REGISTRY_USER in this shell"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    assert_eq!(Checked::of(&home, &["ACME"]).remarks("declared"), [""; 0], "another shell");

    home.sync();
    home.exit_of(&["wait"]);
    let checked = check();
    assert_eq!((checked.status, checked.remarks("declared")), (0, Vec::new()));
    assert_eq!(checked.remarks("agent"), [""; 0]);
}

#[test]
fn an_agent_of_another_version_is_a_remark() {
    let home = TestHome::new();
    let listener = UnixListener::bind(home.path("agent.sock")).unwrap();
    let at = "2026-01-01T00:00:00Z";
    let status = serde_json::json!({
        "version": "9.9.9", "pid": 1, "started_at": at, "at": at, "settled": true,
        "sources": [], "registries": [], "problems": [],
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            let known = request[..length].starts_with(b"GET /v1/status ");
            let head = if known { "200 OK" } else { "404 Not Found" };
            // The client may have gone away.
            let _ = write!(stream, "HTTP/1.0 {head}\r\n\r\n{status}");
        }
    });
    let checked = Checked::of(&home, &[]);
    assert_eq!(checked.remarks("agent"), ["agent-of-another-version"]);
    assert_eq!(checked.failed(), ("declared", "nothing-declared"));
    fs::remove_file(home.path("agent.sock")).unwrap();
}

#[test]
fn a_socket_directory_that_cannot_be_used_is_named_with_a_line_that_makes_another() {
    let registry = registry();
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    fs::write(home.path("file"), "").unwrap();
    let mut check = home.agent(&["check", "--json"]);
    let checked = Checked::by(check.env("REGISTRY_AGENT_SOCKET", home.path("file/agent.sock")));
    assert_eq!(checked.failed(), ("agent", "agent-without-directory"));
    let fix = checked.step("agent")["fix"].as_str().unwrap().split('`').nth(1).unwrap();
    let script = format!(
        "{fix} && registry-agent wait && registry-agent check ACME; status=$?; \
         registry-agent stop; exit $status"
    );
    let mut shell = home.command("sh");
    shell.args(["-c", &script]).env("REGISTRY_AGENT_SOCKET", home.path("file/agent.sock"));
    succeed(&mut home.with_declared(shell));
}

/// Kills the agent and its supervisor, so that nothing takes their place.
fn kill_both(home: &TestHome) {
    let pair = only_pair(&home.lock());
    // A stopped agent does not notice that its supervisor died, and starts no other.
    kill(Pid::from_raw(pair.agent.pid), Signal::SIGSTOP).unwrap();
    kill_9(&pair.supervisor);
    kill_9(&pair.agent);
    let lock = fs::File::open(home.lock()).unwrap();
    wait_until("the lock is held", || lock.try_lock().is_ok());
}

#[test]
fn a_line_of_the_log_is_shown_as_the_cause_only_if_it_is_a_warning_or_an_error() {
    for format in ["text", "json"] {
        let home = TestHome::new();
        fs::create_dir_all(home.path(".config/registry-agent")).unwrap();
        let config = format!("log_format = \"{format}\"\n");
        fs::write(home.path(".config/registry-agent/config.toml"), config).unwrap();
        home.start();
        kill_both(&home);
        let checked = Checked::of(&home, &[]);
        assert_eq!(checked.failed(), ("agent", "agent-ended"));
        let said = checked.step("agent")["detail"].to_string();
        assert!(said.contains("agent.log") && !said.contains("ends with"), "{said}");

        let log = home.path(".local/state/registry-agent/agent.log");
        let before = fs::read_to_string(&log).unwrap();
        let error = match format {
            "text" => "2026-01-01T00:00:00.000Z ERROR the disk broke\n",
            _ => {
                "{\"at\":\"2026-01-01T00:00:00.000Z\",\"level\":\"error\",\"message\":\"the disk broke\"}\n"
            }
        };
        for line in [error, "registry-agent: the disk broke\n"] {
            fs::write(&log, format!("{before}{line}")).unwrap();
            let said = Checked::of(&home, &[]).step("agent")["detail"].to_string();
            assert!(said.contains("ends with: ") && said.contains("the disk broke"), "{said}");
        }
    }
}

#[test]
fn a_missing_directory_of_the_socket_is_named_by_each_command_with_the_line_that_creates_it() {
    let registry = registry();
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    let dir = home.path("no such/dir");
    let mkdir = format!("mkdir -p '{}'", dir.display());
    for command in ["status", "wait", "events", "refresh", "sync", "start", "check"] {
        let mut command = home.agent(&[command]);
        let output = command.env("REGISTRY_AGENT_SOCKET", dir.join("agent.sock")).output().unwrap();
        let text = output_text(&output);
        assert!(!output.status.success() && text.contains(&mkdir), "{text}");
    }
    let mut check = home.agent(&["check", "--json"]);
    let checked = Checked::by(check.env("REGISTRY_AGENT_SOCKET", dir.join("agent.sock")));
    assert_eq!(checked.failed(), ("agent", "agent-without-directory"));
    let fix = checked.step("agent")["fix"].as_str().unwrap().split('`').nth(1).unwrap();
    let script = format!("{fix} && registry-agent wait && registry-agent stop");
    let mut shell = home.command("sh");
    shell.args(["-c", &script]).env("REGISTRY_AGENT_SOCKET", dir.join("agent.sock"));
    succeed(&mut home.with_declared(shell));
}
