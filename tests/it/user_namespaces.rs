//! Clients in a user namespace: rootless podman runs the helper as root of one.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text, run_with_input, succeed};

const AGENT: &str = env!("CARGO_BIN_EXE_registry-agent");
const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");
const LOGIN: (&str, &str) = ("puller", "password");
const SERVER: &str = "127.0.0.1:1";

/// Why a user that other users cannot be told apart from gets no agent.
const SHARED_UID: &str = "this user namespace shows every user that it does not map as uid 65534";

#[test]
fn rootless_podman_without_a_runtime_directory_uses_the_agent_of_its_user() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let server = registry.server();
    // The registry says that an image is unknown only to those who are logged in.
    let message = as_dev(
        &server,
        "",
        "registry-agent sync\n\
         podman pull --tls-verify=false \"$SERVER/private/app\"\n\
         podman unshare sh -c 'printf %s \"$SERVER\" | docker-credential-registry-agent get'\n\
         podman unshare registry-agent status; echo \"status $?\"",
    );
    assert!(message.contains("manifest unknown"), "{message}");
    assert!(message.contains("\"Secret\":\"password\""), "{message}");
    assert!(message.contains("status 0"), "{message}");
    assert_eq!(message.matches("an agent of uid").count(), 1, "{message}");
    assert!(message.contains("an agent of uid 1234"), "{message}");
}

#[test]
fn an_agent_that_a_helper_starts_in_a_user_namespace_is_the_agent_of_its_user() {
    let message = as_dev(
        "127.0.0.1:1",
        "user = \"dev\"",
        "printf %s \"$SERVER\" | SUDO_UID=4321 unshare --user --map-root-user \\\n\
             docker-credential-registry-agent get\n\
         printf %s \"$SERVER\" | docker-credential-registry-agent get\n\
         unshare --user --map-root-user registry-agent check",
    );
    assert_eq!(message.matches("\"Secret\":\"password\"").count(), 2, "{message}");
    assert!(message.contains("of dev, process "), "{message}");
    assert_eq!(message.matches("an agent of uid").count(), 1, "{message}");
    assert!(message.contains("an agent of uid 1234"), "{message}");
}

#[test]
fn a_user_namespace_within_another_one_is_that_of_its_user() {
    let message = as_dev(
        "127.0.0.1:1",
        "",
        "registry-agent start\n\
         printf %s \"$SERVER\" | unshare --user --map-root-user unshare --user --map-root-user \\\n\
             docker-credential-registry-agent get",
    );
    assert_eq!(message.matches("\"Secret\":\"password\"").count(), 1, "{message}");
    assert_eq!(message.matches("an agent of uid").count(), 1, "{message}");
    assert!(message.contains("an agent of uid 1234"), "{message}");
}

#[test]
fn a_user_namespace_whose_proc_hides_other_processes_is_that_of_its_user() {
    let message = as_dev_with(
        "mount -t proc -o hidepid=2 proc /proc",
        "127.0.0.1:1",
        "",
        "registry-agent start\n\
         printf %s \"$SERVER\" | unshare --user --map-root-user docker-credential-registry-agent get",
    );
    assert_eq!(message.matches("\"Secret\":\"password\"").count(), 1, "{message}");
    assert_eq!(message.matches("an agent of uid").count(), 1, "{message}");
    assert!(message.contains("an agent of uid 1234"), "{message}");
}

#[test]
fn a_user_whom_the_namespace_does_not_map_gives_no_secret_to_another_user() {
    let home = home_of_dev();
    let open = home.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
    let socket = open.join("agent.sock");
    let received = record_requests(&socket);
    // The lock directory of another user, which names that user's socket.
    let noted = open.join("noted.sock");
    fs::create_dir(open.join("noted.sock.lock")).unwrap();
    fs::write(open.join("noted.sock.lock/socket"), socket.to_str().unwrap()).unwrap();

    let login = format!(r#"{{"ServerURL":"{SERVER}","Username":"u","Secret":"password"}}"#);
    for socket in [&socket, &noted] {
        let mut store = as_user_1234(&home, &["unshare", "--user", HELPER, "store"]);
        let stored = run_with_input(store.env("REGISTRY_AGENT_SOCKET", socket), &login);
        let sent = String::from_utf8_lossy(&received.lock().unwrap()).into_owned();
        assert!(!sent.contains("password"), "{sent}");
        assert!(!stored.status.success(), "{}", output_text(&stored));
        assert!(output_text(&stored).contains(SHARED_UID), "{}", output_text(&stored));
    }
    let sync = as_user_1234(&home, &["unshare", "--user", AGENT, "sync"]);
    let synced = home.with_declared(sync).env("REGISTRY_AGENT_SOCKET", &socket).output().unwrap();
    let sent = String::from_utf8_lossy(&received.lock().unwrap()).into_owned();
    assert!(!sent.contains("password"), "{sent}");
    assert!(!synced.status.success(), "{}", output_text(&synced));
    assert!(output_text(&synced).contains(SHARED_UID), "{}", output_text(&synced));
}

#[test]
fn no_agent_starts_for_a_user_whom_the_namespace_does_not_map() {
    let home = home_of_dev();
    for command in ["sync", "start", "check", "run"] {
        let started = as_user_1234(&home, &["unshare", "--user", AGENT, command]);
        let started = home.with_declared(started).output().unwrap();
        // This test is another user, whom the namespace does not map either.
        let answer = ask_for_credential(&home);
        if answer.is_some() {
            succeed(&mut as_user_1234(&home, &[AGENT, "stop"]));
        }
        assert_eq!(answer, None);
        let text = output_text(&started).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(started.status.code(), Some(1), "{text}");
        assert!(text.contains(SHARED_UID), "{text}");
    }
}

#[test]
fn an_agent_does_not_know_a_user_whom_its_namespace_does_not_map() {
    let home = home_of_dev();
    let sync = as_user_1234(&home, &["unshare", "--user", "--map-root-user", AGENT, "sync"]);
    let synced = home.with_declared(sync).output().unwrap();
    let answer = ask_for_credential(&home);
    succeed(&mut as_user_1234(&home, &[AGENT, "stop"]));
    let answer = answer.unwrap_or_else(|| panic!("{}", output_text(&synced)));
    assert!(answer.contains("an unknown user is neither the agent's user nor root"), "{answer}");
    assert!(!answer.contains("password"), "{answer}");
}

/// A home with a directory of user 1234, and a declared login.
fn home_of_dev() -> TestHome {
    let mut home = TestHome::new();
    home.declare("ACME", SERVER, LOGIN);
    fs::set_permissions(home.path("."), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(home.path("dev")).unwrap();
    chown(home.path("dev"), Some(1234), Some(1234)).unwrap();
    home
}

/// A command of user 1234, whose agent listens in a directory that others may enter.
fn as_user_1234(home: &TestHome, command: &[&str]) -> Command {
    let mut as_user = home.command("setpriv");
    as_user
        .args(["--reuid=1234", "--regid=1234", "--clear-groups"])
        .args(command)
        .env("HOME", home.path("dev"))
        .env("REGISTRY_AGENT_SOCKET", home.path("dev/agent.sock"));
    as_user
}

/// The response of user 1234's agent to this test, if one runs.
fn ask_for_credential(home: &TestHome) -> Option<String> {
    let mut stream = UnixStream::connect(home.path("dev/agent.sock")).ok()?;
    let request = format!("GET /v1/credential?server={SERVER} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Some(answer)
}

/// Listens like an agent, and returns what clients send.
fn record_requests(socket: &Path) -> Arc<Mutex<Vec<u8>>> {
    let listener = UnixListener::bind(socket).unwrap();
    fs::set_permissions(socket, Permissions::from_mode(0o777)).unwrap();
    let received = Arc::new(Mutex::new(Vec::new()));
    let record = received.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client may disconnect without a request.
            let _ = record_request(&stream.unwrap(), &record);
        }
    });
    received
}

fn record_request(mut stream: &UnixStream, record: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    record.lock().unwrap().extend(body);
    stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{}")
}

/// Runs a script as the user `dev`, who declares the registry, and returns its output with the
/// agents that it leaves.
fn as_dev(server: &str, config: &str, script: &str) -> String {
    as_dev_with(":", server, config, script)
}

/// The same, after root runs `mount`.
fn as_dev_with(mount: &str, server: &str, config: &str, script: &str) -> String {
    let test_home = TestHome::new();
    let programs = Path::new(AGENT).parent().unwrap().display();
    let inside = format!(
        "set -e\n\
         {mount}\n\
         mount -t tmpfs -o mode=755 tmpfs /run && mount -t tmpfs tmpfs /tmp && chmod 1777 /tmp\n\
         mkdir /run/etc && cp -a /etc/. /run/etc && mount --bind /run/etc /etc\n\
         echo 'dev:x:1234:1234::/tmp/home:/bin/sh' >> /etc/passwd && echo 'dev:x:1234:' >> /etc/group\n\
         echo dev:100000:65536 | tee /etc/subuid > /etc/subgid\n\
         mkdir -p /etc/registry-agent && printf %s '{config}' > /etc/registry-agent/config.toml\n\
         mkdir -m 700 /tmp/home && chown 1234:1234 /tmp/home && cd /tmp/home\n\
         exec setpriv --reuid=1234 --regid=1234 --clear-groups env -i HOME=/tmp/home \\\n\
             PATH='{programs}':/usr/bin:/bin:/usr/sbin:/sbin SERVER={server} \\\n\
             ACME_CONTAINER_REGISTRY_SERVER={server} ACME_CONTAINER_REGISTRY_USER={user} \\\n\
             ACME_CONTAINER_REGISTRY_PASSWORD={password} sh -c '{script}\n\
             for dir in /tmp/registry-agent-*; do echo \"an agent of uid ${{dir##*-}}\"; done\n\
             registry-agent stop; unshare --user --map-root-user registry-agent stop'\n",
        user = LOGIN.0,
        password = LOGIN.1,
        script = script.replace('\'', "'\\''"),
    );
    let mut command = test_home.command("unshare");
    command
        .args(["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", &inside])
        .env_remove("REGISTRY_AGENT_SOCKET");
    output_text(&command.output().unwrap())
}
