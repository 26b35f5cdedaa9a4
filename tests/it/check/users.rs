//! `check` by another user, and under `sudo`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Checked, PASSWORD, USER, registry};
use crate::support::test_home::{TestHome, output_text, run_with_input, succeed};

/// A user that no machine has.
const OTHER: u32 = 41_043;
/// The beginning of a script that starts agents of root, as other tests do: it has a `/tmp` of its own,
/// and the test home is at `/mnt`.
const OWN_TMP: &str = "set -u\n\
     mount --bind \"$HOME_OF_TEST\" /mnt && mount -t tmpfs tmpfs /tmp && chmod 1777 /tmp\n\
     export TMPDIR=/tmp\n";
/// The user of an agent that root starts.
const CONFIGURED: u32 = 41_044;

#[test]
fn sudo_gives_root_an_agent_of_its_own_by_the_printed_line() {
    let registry = registry();
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    prepare(&home, CONFIGURED);
    let script = format!(
        "{OWN_TMP}\
         cp -a /etc /mnt/etc && cd /mnt/etc\n\
         echo 'someone:x:{CONFIGURED}:{CONFIGURED}::{own}:/bin/sh' >> passwd\n\
         echo 'someone:*:19000:0:99999:7:::' >> shadow\n\
         printf '%s\\n' 'Defaults secure_path=\"{programs}:/usr/bin:/bin\"' \\\n\
             'someone ALL=(ALL) NOPASSWD: ALL' > sudoers.d/someone && chmod 440 sudoers.d/someone\n\
         mount --bind /mnt/etc /etc && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /root\n\
         unset REGISTRY_AGENT_SOCKET\n\
         export PATH='{programs}:/usr/bin:/bin' HOME='{own}'\n\
         as_user() {{ setpriv --reuid={CONFIGURED} --regid={CONFIGURED} --clear-groups \"$@\"; }}\n\
         as_user registry-agent sync > /dev/null\n\
         fix=$(as_user sudo registry-agent check --json | sed -n 's/.*`\\(sudo -[^`]*\\)`.*/\\1/p')\n\
         echo \"fix: $fix\"\n\
         as_user sh -c \"$fix\"\n\
         as_user sudo registry-agent check ACME; echo status $?\n\
         cat /root/.docker/config.json; ls -ln '{own}/.docker'\n\
         as_user registry-agent stop; as_user sudo registry-agent stop\n",
        own = "/mnt/own",
        programs = "/mnt/programs",
    );
    let mut command = home.command("unshare");
    command.args(["--mount", "sh", "-c", &script]).env("HOME_OF_TEST", home.path(""));
    let text = output_text(&succeed(&mut home.with_declared(command)));
    assert!(text.contains("fix: sudo -E -H registry-agent sync"), "{text}");
    assert!(text.contains("status 0"), "{text}");
    assert!(text.contains(&format!("\"{}\": \"registry-agent\"", registry.server())), "{text}");
}

/// A directory of this user in the test home, and both programs in one that every user may read.
fn prepare(home: &TestHome, uid: u32) -> (PathBuf, PathBuf) {
    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let programs = home.path("programs");
    fs::create_dir(&programs).unwrap();
    for program in [
        env!("CARGO_BIN_EXE_registry-agent"),
        env!("CARGO_BIN_EXE_docker-credential-registry-agent"),
    ] {
        let name = Path::new(program).file_name().unwrap();
        fs::copy(program, programs.join(name)).unwrap();
    }
    let own = home.path("own");
    fs::create_dir(&own).unwrap();
    chown(&own, Some(uid), Some(uid)).unwrap();
    (own, programs)
}

#[test]
fn another_user_is_told_whose_agent_it_is_and_how_to_get_one() {
    let registry = registry();
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    home.start_agent();
    let (own, programs) = prepare(&home, OTHER);
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let by_other = |command: &[&str]| -> Command {
        let mut setpriv = home.command("setpriv");
        setpriv.args([&format!("--reuid={OTHER}"), &format!("--regid={OTHER}")]);
        setpriv.arg("--clear-groups").args(command);
        setpriv.env("HOME", &own).env("PATH", &path);
        setpriv
    };
    let checked = Checked::by(&mut by_other(&["registry-agent", "check", "--json"]));
    assert_eq!(checked.failed(), ("agent", "agent-of-another-user"));
    let told = checked.step("agent");
    assert!(told["detail"].as_str().unwrap().contains("belongs to root"), "{told}");

    let fix = told["fix"].as_str().unwrap().split('`').nth(1).unwrap().to_owned();
    for (command, status) in [
        (&["sync"][..], 1),
        (&["start"], 1),
        (&["stop"], 1),
        (&["status"], 4),
        (&["wait", "ACME"], 1),
        (&["refresh"], 1),
    ] {
        let command = [&["registry-agent"], command].concat();
        let output = home.with_declared(by_other(&command)).output().unwrap();
        let text = output_text(&output);
        assert_eq!(output.status.code(), Some(status), "{command:?}: {text}");
        assert!(text.contains("belongs to root") && text.contains(&fix), "{command:?}: {text}");
    }
    let mut get = by_other(&["docker-credential-registry-agent", "get"]);
    let told = output_text(&run_with_input(&mut get, &registry.server()));
    assert!(told.contains("belongs to uid 0") && told.contains(&fix), "{told}");
    let script = format!(
        "{fix} && registry-agent wait && registry-agent check ACME; status=$?; \
         registry-agent stop; rm -rf /tmp/registry-agent-{OTHER}; exit $status"
    );
    succeed(&mut home.with_declared(by_other(&["sh", "-c", &script])));
}

#[test]
fn under_sudo_it_is_said_whose_configuration_docker_reads() {
    let registry = registry();
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    prepare(&home, CONFIGURED);
    fs::create_dir(home.path("root")).unwrap();
    let script = format!(
        "{OWN_TMP}\
         cp -a /etc '{home}/etc'\n\
         mkdir -p '{home}/etc/registry-agent'\n\
         echo 'someone:x:{CONFIGURED}:{CONFIGURED}::{own}:/bin/sh' >> '{home}/etc/passwd'\n\
         mount --bind '{home}/etc' /etc\n\
         for dir in /run /dev/shm /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $dir; done\n\
         unset REGISTRY_AGENT_SOCKET\n\
         export PATH='{programs}:/usr/bin:/bin' HOME='{home}/root' SUDO_UID={CONFIGURED} SUDO_USER=someone\n\
         as_user() {{ setpriv --reuid={CONFIGURED} --regid={CONFIGURED} --clear-groups \\\n\
             env HOME='{own}' \"$@\"; }}\n\
         without() {{ env -u ACME_CONTAINER_REGISTRY_SERVER -u ACME_CONTAINER_REGISTRY_USER \\\n\
             -u ACME_CONTAINER_REGISTRY_PASSWORD \"$@\"; }}\n\
         for command in check status; do registry-agent $command; done > /mnt/without 2>&1\n\
         ls -d /tmp/registry-agent-{CONFIGURED} /dev/shm/registry-agent-{CONFIGURED} \\\n\
             /var/tmp/registry-agent-{CONFIGURED} 2>/dev/null | sed 's/^/left /'\n\
         as_user registry-agent sync >/dev/null\n\
         echo 1; registry-agent check --json ACME; echo status $?\n\
         echo 1a; without registry-agent status 2>&1; echo status $?\n\
         echo 1b; without registry-agent sync 2>&1; echo status $?; ls -d /tmp/registry-agent-0\n\
         as_user registry-agent stop\n\
         echo 'user = \"someone\"' > /etc/registry-agent/config.toml\n\
         registry-agent sync >/dev/null; registry-agent wait\n\
         echo 2; registry-agent check ACME; echo status $?\n\
         echo 3; DOCKER_CONFIG='{own}/.docker' registry-agent check ACME; echo status $?\n\
         registry-agent stop\n",
        home = "/mnt",
        own = "/mnt/own",
        programs = "/mnt/programs",
    );
    let mut command = home.command("unshare");
    let output = succeed(&mut home.with_declared({
        command.args(["--mount", "sh", "-c", &script]).env("HOME_OF_TEST", home.path(""));
        command
    }));
    let text = output_text(&output);
    let part = |from: &str, to: &str| {
        let rest = text.split_once(&format!("\n{from}\n")).map_or(&*text, |(_, rest)| rest);
        rest.split_once(to).map_or(rest, |(part, _)| part).to_owned()
    };
    let (own_agent, configured, given) = (part("1", "\n1a\n"), part("2", "\n3\n"), part("3", "\0"));
    for (part, status) in [(part("1a", "\n1b\n"), "status 4"), (part("1b", "\n2\n"), "status 1")] {
        assert!(part.contains("belongs to someone") && part.contains(status), "{part}\n{text}");
        assert!(part.contains("without sudo"), "{part}\n{text}");
    }
    let without = fs::read_to_string(home.path("without")).unwrap();
    assert_eq!(without.matches("no agent is running for someone").count(), 2, "{without}");
    assert!(!text.contains("left "), "root has taken the user's directories: {text}");
    assert!(!text.lines().any(|line| line == "nothing changed"), "an agent of root: {text}");
    assert!(own_agent.contains("agent-under-sudo") && own_agent.contains("status 1"), "{text}");
    assert!(own_agent.contains("belongs to someone"), "{text}");
    assert!(configured.contains("failed   published"), "{text}");
    let fix = "sudo docker --config /mnt/own/.docker pull IMAGE";
    assert!(configured.contains(fix) && configured.contains("status 1"), "{text}");
    assert!(given.contains("passed   served") && given.contains("status 0"), "{text}");
}
