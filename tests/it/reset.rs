//! `reset`: what an agent wrote is gone, and nothing else.

use std::fs;
use std::path::Path;

use crate::support::test_home::{TestHome, output_text, succeed};

/// A configuration of a user who has a helper of their own, in an unusual format.
const BEFORE: &str = "{ \"credsStore\":\"secretservice\",\n\t\"credHelpers\": {\"gcr.io\": \"gcloud\"} , \"x\": 1 }\n";
const UNREACHABLE: &str = "127.0.0.1:9";

fn home_with_a_running_agent() -> TestHome {
    let mut home = TestHome::new();
    fs::create_dir(home.path(".docker")).unwrap();
    fs::write(home.path(".docker/config.json"), BEFORE).unwrap();
    home.declare("ACME", UNREACHABLE, ("puller", "secret"));
    home.start();
    home
}

fn docker_config(home: &TestHome) -> String {
    fs::read_to_string(home.path(".docker/config.json")).unwrap()
}

#[test]
fn everything_that_the_agent_wrote_is_removed_and_no_other_byte() {
    let home = home_with_a_running_agent();
    let login = r#"{"ServerURL":"127.0.0.1:10","Username":"own","Secret":"own secret"}"#;
    assert!(home.helper("store", login).status.success());
    assert!(home.path(".local/state/registry-agent/logins.json").exists());
    assert!(docker_config(&home).contains("registry-agent"));

    let said = output_text(&succeed(&mut home.agent(&["reset"])));
    for line in ["stopped the agent", "removed the entries of registry-agent from "] {
        assert!(said.contains(line), "{said}");
    }
    assert_eq!(docker_config(&home), BEFORE);
    assert!(!home.path(".local/state/registry-agent").exists());
    assert!(!home.lock().exists());
    // Who asks makes nothing.
    assert_eq!(home.exit_of(&["status"]), 4);
    assert_eq!(home.exit_of(&["check"]), 1);
    assert_eq!(home.exit_of(&["wait", "--timeout", "1s"]), 1);
    assert!(!home.lock().exists());

    assert_eq!(output_text(&succeed(&mut home.agent(&["reset"]))).lines().count(), 1);
}

#[test]
fn entries_that_the_record_has_lost_are_removed_too() {
    let home = home_with_a_running_agent();
    succeed(&mut home.agent(&["stop"]));
    fs::remove_file(home.path(".local/state/registry-agent/published.json")).unwrap();
    succeed(&mut home.agent(&["reset"]));
    assert!(!docker_config(&home).contains("registry-agent"), "{}", docker_config(&home));
}

#[test]
fn entries_in_another_docker_configuration_are_removed_without_its_variable() {
    let mut home = TestHome::new();
    let other = home.path("other");
    fs::create_dir(&other).unwrap();
    home.declare("ACME", UNREACHABLE, ("puller", "secret"));
    home.set("DOCKER_CONFIG", other.to_str().unwrap());
    home.start();
    assert!(fs::read_to_string(other.join("config.json")).unwrap().contains(UNREACHABLE));
    succeed(&mut home.agent(&["reset"]));
    assert_eq!(fs::read_to_string(other.join("config.json")).unwrap().trim_end(), "{\n}");
}

#[test]
fn a_docker_configuration_that_cannot_be_edited_is_named_and_its_record_is_kept() {
    let home = home_with_a_running_agent();
    succeed(&mut home.agent(&["stop"]));
    let published = docker_config(&home);
    fs::write(home.path(".docker/config.json"), published.replacen('{', "", 1)).unwrap();
    let output = home.agent(&["reset"]).output().unwrap();
    let said = output_text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(".docker/config.json") && said.contains("; fix: "), "{said}");

    fs::write(home.path(".docker/config.json"), published).unwrap();
    succeed(&mut home.agent(&["reset"]));
    assert_eq!(docker_config(&home), BEFORE);
}

#[test]
fn directories_of_other_users_do_not_matter() {
    let start = "as 1234 touch /tmp/registry-agent-4321\n\
                 as 4321 registry-agent start\n";
    let output = on_a_shared_machine(&format!("{start} as 4321 registry-agent reset"));
    assert!(output.contains("stopped the agent\n"), "{output}");
    assert!(output.contains("removed /dev/shm/registry-agent-4321\n"), "{output}");
    assert!(output.contains("removed /tmp/home/.local/state/registry-agent\n"), "{output}");
    assert!(output.ends_with("exit 0\n/tmp/registry-agent-4321\n"), "{output}");

    let output = on_a_shared_machine(
        "as 1234 touch /tmp/registry-agent-4321 /dev/shm/registry-agent-4321 /var/tmp/registry-agent-4321\n\
         as 4321 mkdir -p /tmp/home/.local/state/registry-agent\n\
         as 4321 registry-agent reset",
    );
    assert!(output.contains("removed /tmp/home/.local/state/registry-agent\n"), "{output}");
    assert!(output.contains("exit 0\n"), "{output}");
}

#[test]
fn what_cannot_be_removed_is_named_and_the_rest_is_removed() {
    let output = on_a_shared_machine(
        "as 4321 registry-agent start\n\
         mkdir /tmp/home/.local/state/registry-agent/of-root\n\
         touch /tmp/home/.local/state/registry-agent/of-root/file\n\
         as 4321 registry-agent reset",
    );
    let named = "/tmp/home/.local/state/registry-agent cannot be removed: Permission denied";
    assert!(output.contains(named), "{output}");
    assert!(output.contains("removed /tmp/registry-agent-4321\n"), "{output}");
    assert!(output.contains("exit 1\n"), "{output}");
}

/// Runs a script as root, with directories for everyone of its own. `as UID` runs a command as a user.
/// Returns its output, its exit status and the remaining directories.
fn on_a_shared_machine(script: &str) -> String {
    let home = TestHome::new();
    let programs = Path::new(env!("CARGO_BIN_EXE_registry-agent")).parent().unwrap().display();
    let inside = format!(
        "for dir in /tmp /dev/shm /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $dir; done\n\
         mount -t tmpfs tmpfs /run; cd /tmp; mkdir home; chown 4321 home; export HOME=/tmp/home PATH={programs}:$PATH\n\
         as() {{ uid=$1; shift; setpriv --reuid=$uid --regid=$uid --clear-groups \"$@\"; }}\n\
         {script}\n\
         echo exit $?; ls -d /tmp/registry-agent-* /dev/shm/registry-agent-* 2>&-"
    );
    let mut command = home.command("unshare");
    command.args(["--mount", "sh", "-c", &inside]).env_remove("REGISTRY_AGENT_SOCKET");
    output_text(&command.output().unwrap())
}
