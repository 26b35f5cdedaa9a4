//! The units under a real systemd.

use std::fmt::Write;

use crate::support::aws::FakeAws;
use crate::support::booted::BootedMachine;
use crate::support::engine::{BUSYBOX, push};
use crate::support::processes::wait_until;
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{credential, output_text};

const LOGIN: (&str, &str) = ("puller", "p:ass w\\rd 'with' \"ümlaut\"");
/// Nothing listens on this port, so the login is unreachable immediately, and served.
const PUSHED: &str = "127.0.0.1:1";
const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn a_hardened_service_does_its_whole_job() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    let image = format!("{}/private/app:1", registry.server());
    push(BUSYBOX, &image, LOGIN);
    let aws = FakeAws::start();
    aws.add_key("AKIAIOSFODNN7EXAMPLE", "key", None);
    let machine = BootedMachine::boot();

    let exposure = machine.stdout(
        "root",
        "systemd-analyze security --threshold=20 --no-pager registry-agent | tail -1",
    );
    assert!(exposure.contains("2.0"), "{exposure}");

    // The password is in a file that only root can read, the rest in one that everybody can.
    let user = LOGIN.0;
    let mut env = format!(
        "ACME_CONTAINER_REGISTRY_SERVER={}\nACME_CONTAINER_REGISTRY_USER={user}\n\
         CLOUD_CONTAINER_REGISTRY_SERVER={ECR}\n",
        registry.server()
    );
    for (name, value) in aws.variables() {
        writeln!(env, "{name}={value}").unwrap();
    }
    machine.write("/etc/registry-agent/registries.env", &env);
    machine.write("/etc/registry-agent/acme-password", LOGIN.1);
    machine.stdout("root", "chmod 600 /etc/registry-agent/acme-password");
    machine.write(
        "/etc/registry-agent/config.toml",
        "sources = [\"$CREDENTIALS_DIRECTORY\", \"/etc/registry-agent/registries.env\"]\n",
    );
    machine.write(
        "/etc/systemd/system/registry-agent.service.d/password.conf",
        "[Service]\n\
         LoadCredential=ACME_CONTAINER_REGISTRY_PASSWORD:/etc/registry-agent/acme-password\n",
    );
    // An identity that a program prints, which runs with the rights of the service.
    let identity =
        "{\"Version\": 1, \"AccessKeyId\": \"AKIAIOSFODNN7EXAMPLE\", \"SecretAccessKey\": \"key\"}";
    machine.write("/etc/identity.json", identity);
    for home in ["/root", "/home/dev"] {
        let process = "grep SigBlk /proc/self/status > /tmp/mask-$(id -u); cat /etc/identity.json";
        let profile = format!("[default]\ncredential_process = {process}\n");
        machine.write(&format!("{home}/.aws/config"), &profile);
    }
    machine.stdout("root", "systemctl daemon-reload && systemctl enable --now registry-agent");
    works(&machine, "root", &image);
    machine.until("systemctl show -P StatusText registry-agent | grep '^1 of 2 logins ready'");

    // The same for the clients of another user.
    machine
        .write("/etc/systemd/system/registry-agent.service.d/user.conf", "[Service]\nUser=dev\n");
    // A restart would keep the tokens in hand.
    machine.stdout("root", "systemctl stop registry-agent && systemctl daemon-reload");
    machine.stdout("root", "systemctl start registry-agent");
    works(&machine, "dev", &image);
    machine.stdout("root", "systemctl stop registry-agent");
    assert_fix(&machine, "dev", "sudo systemctl start registry-agent");
    // The service is not root's.
    assert_fix(&machine, "root", "registry-agent sync");
    let denials =
        machine.stdout("root", "journalctl --no-pager --unit=registry-agent --output=cat");
    assert!(!denials.contains("not permitted"), "{denials}");
    assert!(!denials.contains(LOGIN.1), "the journal has the password");
    // The agent blocks signals, which a program that it starts would not expect.
    let masks = machine.stdout("root", "cat /tmp/mask-0 /tmp/mask-1000");
    assert_eq!(masks, "SigBlk:\t0000000000000000\nSigBlk:\t0000000000000000");
}

/// A client reads a private image, a token comes from AWS, and `docker login` is stored.
fn works(machine: &BootedMachine, user: &str, image: &str) {
    machine.stdout(user, "registry-agent wait ACME || registry-agent check ACME");
    machine.stdout(user, &format!("skopeo inspect --tls-verify=false docker://{image}"));
    let token = machine.run(user, &format!("echo {ECR} | docker-credential-registry-agent get"));
    let (name, _) = credential(&token).unwrap_or_else(|| panic!("{}", output_text(&token)));
    assert_eq!(name, "AWS");
    let login = r#"{"ServerURL":"127.0.0.1:9","Username":"own","Secret":"stored"}"#;
    machine.stdout(user, &format!("echo '{login}' | docker-credential-registry-agent store"));
    machine.stdout("root", "systemctl restart registry-agent");
    let stored = machine.run(user, "echo 127.0.0.1:9 | docker-credential-registry-agent get");
    assert_eq!(credential(&stored), Some(("own".to_owned(), "stored".to_owned())));
    machine.stdout(user, "echo 127.0.0.1:9 | docker-credential-registry-agent erase");
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn what_was_pushed_to_a_system_service_survives_all_but_a_stop() {
    let machine = BootedMachine::boot();
    machine.stdout("root", "systemctl start registry-agent");
    survives(&machine, "root", "systemctl");

    machine.stdout("root", "systemctl stop registry-agent");
    let result =
        "systemctl show -P ActiveState registry-agent; systemctl show -P Result registry-agent";
    assert_eq!(machine.stdout("root", result), "inactive\nsuccess");
    // A client that comes while no service runs is in nobody's way, and its push is kept.
    assert_eq!(get(&machine, "root"), None);
    sync(&machine, "root");
    machine.stdout("root", "systemctl start registry-agent");
    assert_eq!(get(&machine, "root"), Some(pushed()));

    // An installed unit that is not enabled runs nobody's agent.
    machine.stdout("root", "systemctl stop registry-agent");
    assert_fix(&machine, "root", "registry-agent sync");
    machine.stdout("root", "systemctl start registry-agent");

    // A stop by the agent's own command is a stop for systemd as well.
    machine.stdout("root", "registry-agent stop");
    assert_eq!(machine.stdout("root", result), "inactive\nsuccess");

    // The journal has the level of each line.
    let warnings = "journalctl --no-pager --unit=registry-agent --priority=warning --output=cat";
    let warnings = machine.stdout("root", warnings);
    assert!(warnings.contains("the agent was killed by signal 9 (SIGKILL)"), "{warnings}");
    assert!(!warnings.contains("was added by sync"), "{warnings}");
}

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn what_was_pushed_to_a_user_service_survives_all_but_a_stop() {
    let machine = BootedMachine::boot();
    machine.stdout("root", "loginctl enable-linger dev");
    machine.until("test -S /run/user/1000/bus");
    machine.stdout("dev", "systemctl --user enable --now registry-agent");
    machine.stdout("dev", "test -S /run/user/1000/registry-agent/agent.sock");
    survives(&machine, "dev", "systemctl --user");
    machine.stdout("dev", "systemctl --user stop registry-agent");
    assert_fix(&machine, "dev", "systemctl --user start registry-agent");
    // It is there before its user logs in.
    machine.stdout("root", "systemctl restart user@1000");
    wait_until("it does not start at boot", || {
        machine.run("dev", "systemctl --user is-active registry-agent").status.success()
    });
}

/// While no agent runs, `check` names this command.
fn assert_fix(machine: &BootedMachine, user: &str, command: &str) {
    let output = output_text(&machine.run(user, "registry-agent check"));
    assert!(output.contains(&format!("run `{command}`")), "{output}");
}

/// Reloads, kills and restarts a service, which keeps what was pushed.
fn survives(machine: &BootedMachine, user: &str, systemctl: &str) {
    sync(machine, user);
    let main = format!("{systemctl} show -P MainPID registry-agent");
    let agent = format!("cat /proc/$({main})/task/*/children");
    for (action, is_new_service) in [
        (format!("{systemctl} reload registry-agent"), false),
        (format!("kill -9 $({agent})"), false),
        (format!("kill -9 $({main})"), true),
        (format!("kill -9 $({main}) $({agent})"), true),
        (format!("{systemctl} restart registry-agent"), true),
    ] {
        let before = machine.stdout(user, &main);
        machine.stdout(user, &action);
        let ready = format!(
            "{systemctl} show -P SubState registry-agent | grep -x running && \
             test -n \"$({agent})\" && test $({main}) -ne 0"
        );
        let is_ready = || machine.run(user, &ready).status.success();
        wait_until(&action, is_ready);
        let now = machine.stdout(user, &main);
        assert_eq!(now != before, is_new_service, "{action}: {before}, {now}");
        assert_eq!(get(machine, user), Some(pushed()), "{action}");
    }
    let status = machine.stdout(user, &format!("{systemctl} show -P StatusText registry-agent"));
    assert_eq!(status, "0 of 1 login ready, 1 unreachable");
}

fn sync(machine: &BootedMachine, user: &str) {
    let (name, password) = pushed();
    let set = [
        ("ACME_CONTAINER_REGISTRY_SERVER", PUSHED),
        ("ACME_CONTAINER_REGISTRY_USER", &name),
        ("ACME_CONTAINER_REGISTRY_PASSWORD", &password),
    ];
    let output = machine.run_with(user, &set, "registry-agent sync");
    assert!(output.status.success(), "{}", output_text(&output));
}

fn get(machine: &BootedMachine, user: &str) -> Option<(String, String)> {
    credential(&machine.run(user, &format!("echo {PUSHED} | docker-credential-registry-agent get")))
}

fn pushed() -> (String, String) {
    ("user".to_owned(), "pushed".to_owned())
}
