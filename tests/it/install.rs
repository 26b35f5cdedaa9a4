//! `install.sh`, with the tools of busybox alone, in a file system of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::machine::{Machine, PRIVATE, PROGRAMS, files, program_file, write};
use crate::support::processes::wait_until;
use crate::support::test_home::{output_text, succeed};

const HELPER: &str = "/usr/local/bin/docker-credential-registry-agent";
const CONFIG: &str = "/etc/registry-agent/config.toml";

#[test]
fn it_installs_in_any_shell_with_the_tools_that_it_names_and_twice_gives_the_same() {
    let feature = &[("_REMOTE_USER", "vscode")];
    for shell in [&["busybox", "sh"][..], &["dash"], &["bash", "--posix"]] {
        let machine = Machine::new();
        let first = succeed(&mut machine.script(shell, &[], feature));
        let version =
            output_text(&succeed(Command::new("/usr/local/bin/registry-agent").arg("--version")));
        assert!(
            output_text(&first)
                .contains(&format!("{} is installed for the user vscode", version.trim()))
        );
        let files = files(&["/etc", "/usr/local"]);
        assert!(files.len() > 8, "{files:?}");
        succeed(&mut machine.script(shell, &[], feature));
        assert_eq!(self::files(&["/etc", "/usr/local"]), files, "{shell:?}");
    }
}

#[test]
fn every_name_of_the_helper_leads_to_it() {
    let machine = Machine::new();
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("feature/links");
    let list = fs::read_to_string(list).unwrap();
    for _ in 0..2 {
        succeed(&mut machine.script(&["dash"], &[], &[]));
        for line in list.lines() {
            let (name, target) = line.split_once(' ').unwrap();
            let link = Path::new("/usr/local").join(name);
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(target), "{line}");
            let helper = Path::new("/usr/local/bin/docker-credential-registry-agent");
            assert_eq!(fs::canonicalize(&link).unwrap(), helper, "{line}");
        }
        let plug_in = "/usr/local/bin/registry-agent-credential-provider";
        let version = output_text(&succeed(Command::new(plug_in).arg("--version")));
        assert!(version.starts_with("registry-agent-credential-provider "), "{version}");
    }
    // A protocol without a name that leads to it would never be spoken.
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/helper")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let name = text.split_once("const PROGRAM: &str = \"");
        let Some((name, _)) = name.and_then(|(_, rest)| rest.split_once('"')) else { continue };
        let listed =
            list.lines().any(|line| line.split(' ').next().unwrap().ends_with(&format!("/{name}")));
        assert!(listed, "{name} is not in feature/links");
    }
}

#[test]
fn pip_finds_a_keyring_in_a_directory_of_its_own() {
    let machine = Machine::new();
    succeed(&mut machine.script(&["dash"], &[], &[]));
    let keyring = Path::new("/usr/local/lib/registry-agent/bin/keyring");
    let helper = fs::canonicalize("/usr/local/bin/docker-credential-registry-agent").unwrap();
    assert_eq!(fs::canonicalize(keyring).unwrap(), helper);
    let elsewhere = ["get", "pypi.test", "me"];
    let output = Command::new(keyring).args(elsewhere).env_clear().output().unwrap();
    assert_eq!((output.status.code(), output_text(&output)), (Some(1), String::new()));
    let feature = include_str!("../../devcontainer-feature.json");
    assert!(feature.contains(&format!("\"{}:${{PATH}}", keyring.parent().unwrap().display())));
}

#[test]
fn where_systemd_runs_it_learns_of_the_units_and_their_commands_are_named() {
    let machine = Machine::new();
    let said = output_text(&machine.install(&[]));
    assert!(!said.contains("systemd"), "{said}");
    fs::create_dir_all("/run/systemd/system").unwrap();
    let systemctl = machine.path("tools/systemctl");
    program_file(&systemctl, "echo \"systemctl $*\"");
    let said = output_text(&machine.install(&[]));
    for line in [
        "systemctl daemon-reload\n",
        "\n  systemctl --user enable --now registry-agent ",
        "\n  sudo systemctl enable --now registry-agent ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // What systemd refuses keeps nobody from the programs.
    program_file(&systemctl, "exit 1");
    assert!(machine.install(&[]).status.success());
}

#[test]
fn a_service_that_may_not_change_its_user_names_the_setting_of_the_unit() {
    let machine = Machine::new();
    succeed(&mut machine.script(&["dash"], &[], &[("_REMOTE_USER", "vscode")]));
    let run = |notify_socket: &str| {
        let mut run = Command::new("setpriv");
        run.args([
            "--bounding-set=-all",
            "--inh-caps=-all",
            "/usr/local/bin/registry-agent",
            "run",
        ])
        .env_clear()
        .env("HOME", "/root")
        .env("NOTIFY_SOCKET", notify_socket);
        let output = run.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", output_text(&output));
        output_text(&output)
    };
    let fix =
        "run `sudo systemctl edit registry-agent`, add the lines `[Service]` and `User=vscode`";
    let said = run("/run/systemd/notify");
    assert!(said.contains("Operation not permitted") && said.contains(fix), "{said}");
    let said = run("");
    assert!(said.contains("Operation not permitted") && !said.contains(fix), "{said}");
}

#[test]
fn a_process_of_the_agent_is_closed_to_its_own_user_before_it_runs() {
    let machine = Machine::new();
    succeed(&mut machine.script(&["dash"], &[], &[("_REMOTE_USER", "vscode")]));
    let home = Path::new("/home/vscode");
    fs::create_dir_all(home).unwrap();
    chown(home, Some(1000), Some(1000)).unwrap();
    let agent = |arguments: &[&str]| {
        let mut command = Command::new("/usr/local/bin/registry-agent");
        let command = command.args(arguments).env_clear().uid(1000).gid(1000);
        command.env("HOME", home).spawn().unwrap()
    };
    assert!(agent(&["start"]).wait().unwrap().success());
    // A client closes nothing by itself: what closes it is that its user may not read its program.
    let mut client = agent(&["wait", "NOBODY"]);
    let file = format!("/proc/{}/environ", client.id());
    wait_until("the program is not executed", || {
        fs::read_link(format!("/proc/{}/exe", client.id())).unwrap().ends_with("bin/registry-agent")
    });
    let owner = fs::metadata(&file).unwrap().uid();
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(agent(&["stop"]).wait().unwrap().success());
    assert_eq!(owner, 0, "other processes of the user may read it");
}

#[test]
fn only_the_programs_of_this_machine_are_installed_and_builders_leave_no_others() {
    let machine = Machine::new();
    succeed(&mut machine.script(&["dash"], &[], &[("_REMOTE_USER", "vscode")]));
    for program in PROGRAMS {
        let installed = fs::read(format!("/usr/local/bin/{program}")).unwrap();
        assert!(installed.starts_with(b"\x7fELF"), "{program} is that of another architecture");
    }
    assert!(machine.path("package/bin/x86_64").exists(), "the package is not a builder's copy");

    // The classic docker builder keeps this directory in the image.
    let feature = Path::new("/tmp/dev-container-features/registry-agent_0");
    fs::create_dir_all(feature.parent().unwrap()).unwrap();
    succeed(Command::new("cp").arg("-rL").arg(machine.path("package")).arg(feature));
    let mut in_place = Command::new("/bin/dash");
    in_place.arg("./install.sh").current_dir(feature).env_clear();
    in_place.env("PATH", machine.path("tools")).env("_REMOTE_USER", "vscode");
    succeed(&mut in_place);
    assert!(!feature.join("bin").exists(), "the programs of every architecture stay in the image");
}

#[test]
fn every_wrong_option_is_named_and_nothing_is_installed() {
    let machine = Machine::new();
    let before = files(&["/etc", "/usr/local"]);
    let output = machine.install(&[
        ("_REMOTE_USER", "vscode\"\nmode = \"auths"),
        ("MODE", "helpers"),
        ("VERIFY", "yes"),
        ("GITHUBTOKEN", "1"),
        ("LOGLEVEL", "loud"),
        ("LOGFORMAT", "xml"),
    ]);
    assert!(!output.status.success());
    let said = output_text(&output);
    for wrong in [
        "the option mode is \"helpers\"; set it to one of: helper auths",
        "the option verify is \"yes\"; set it to one of: true false",
        "the option githubToken is \"1\"; set it to one of: true false",
        "the option logLevel is \"loud\"; set it to one of: error warn info debug trace",
        "the option logFormat is \"xml\"; set it to one of: text json",
        "the name of the remote user contains a quote",
    ] {
        assert!(said.contains(wrong), "{wrong}: {said}");
    }
    assert_eq!(files(&["/etc", "/usr/local"]), before);
}

#[test]
fn a_later_installation_takes_its_own_options_and_user_but_keeps_what_the_user_wrote() {
    let machine = Machine::new();
    let configured = |key: &str| {
        let text = fs::read_to_string(CONFIG).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
        line.unwrap_or_default().to_owned()
    };
    // The image of a team has the Feature for root, then a project names a user who is not there yet.
    succeed(&mut machine.script(&["dash"], &[], &[("_CONTAINER_USER", "root")]));
    assert_eq!(configured("user"), "\"root\"");
    let options = [("_REMOTE_USER", "later"), ("MODE", "auths"), ("LOGFORMAT", "json")];
    succeed(&mut machine.script(&["dash"], &[], &options));
    let found = ["user", "mode", "log_format"].map(configured);
    assert_eq!(found, ["\"later\"", "\"auths\"", "\"json\""]);

    write(Path::new(CONFIG), "verify = false\n");
    let output = machine.install(&[("_REMOTE_USER", "vscode")]);
    assert!(output.status.success());
    let said = output_text(&output);
    assert!(said.contains(&format!("{CONFIG} was not changed, because")), "{said}");
    assert_eq!(fs::read_to_string(CONFIG).unwrap(), "verify = false\n");
}

#[test]
fn a_user_number_is_written_as_a_name_because_the_number_may_change() {
    for (given, written) in
        [("1000", "vscode"), ("1000:1000", "vscode"), ("1234", "1234"), ("", "root")]
    {
        let machine = Machine::new();
        succeed(&mut machine.script(
            &["dash"],
            &[],
            &[("_REMOTE_USER", given), ("_CONTAINER_USER", "root")],
        ));
        let text = fs::read_to_string(CONFIG).unwrap();
        assert!(text.contains(&format!("user = \"{written}\"\n")), "{given}: {text}");
    }
}

#[test]
fn on_a_machine_without_dev_containers_other_variables_mean_nothing_to_it() {
    let machine = Machine::new();
    let output = machine.install(&[("MODE", "release"), ("VERIFY", "1")]);
    assert!(output.status.success(), "{}", output_text(&output));
    assert!(!Path::new(CONFIG).exists());
    let said = output_text(&output);
    assert!(said.contains("Run `registry-agent start` as the user who uses docker."), "{said}");
}

#[test]
fn without_root_or_for_another_machine_it_says_what_to_do_and_installs_nothing() {
    let machine = Machine::new();
    let before = files(&["/etc", "/usr/local"]);
    let fails_with = |expected: &str| {
        let output = machine.install(&[]);
        let said = output_text(&output);
        assert!(!output.status.success() && said.contains(expected), "{said}");
        assert_eq!(files(&["/etc", "/usr/local"]), before);
    };
    machine.fake("uname", "echo riscv64");
    fails_with("there is no build for riscv64: use an x86_64 or aarch64 image or machine");
    machine.fake("uname", "echo arm64");
    fails_with("the programs for aarch64 cannot run on this machine");
    fs::remove_dir_all(machine.path("package/bin/aarch64")).unwrap();
    fails_with("this package contains no build for aarch64: install a package that does");
    machine.fake("id", "echo 1000");
    let script = machine.path("package/install.sh");
    fails_with(&format!("only root can install or uninstall: run `sudo sh {}", script.display()));
}

#[test]
fn an_upgrade_removes_the_files_that_only_the_old_version_had() {
    let machine = Machine::new();
    let old = machine.path("package/share/man/man1/registry-agent-old.1");
    write(&old, "a command that is gone");
    succeed(&mut machine.script(&["dash"], &[], &[]));
    let installed = Path::new("/usr/local/share/man/man1/registry-agent-old.1");
    assert!(installed.exists());
    fs::remove_file(old).unwrap();
    succeed(&mut machine.script(&["dash"], &[], &[]));
    assert!(!installed.exists());
}

/// `uninstall`, as somebody runs it who has kept neither the package nor the script.
fn uninstall(machine: &Machine) -> Command {
    let mut command = Command::new("/bin/dash");
    command.args(["/usr/local/share/registry-agent/install.sh", "uninstall"]).env_clear();
    command.env("PATH", machine.path("tools"));
    command
}

/// The homes of two users with agents, and their docker configurations.
fn agents_of_two_users() -> [(PathBuf, PathBuf); 2] {
    [("vscode", 1000), ("other", 1001)].map(|(name, uid)| {
        let home = PathBuf::from("/home").join(name);
        fs::create_dir(&home).unwrap();
        chown(&home, Some(uid), Some(uid)).unwrap();
        let agent = |arguments: &[&str]| {
            let mut command = Command::new("/usr/local/bin/registry-agent");
            command.args(arguments).env_clear().uid(uid).gid(uid).env("HOME", &home);
            for (field, value) in
                [("SERVER", "127.0.0.1:9"), ("USER", "puller"), ("PASSWORD", "secret")]
            {
                command.env(format!("ACME_CONTAINER_REGISTRY_{field}"), value);
            }
            command.output().unwrap()
        };
        assert!(agent(&["start"]).status.success());
        let config = home.join(".docker/config.json");
        assert!(fs::read_to_string(&config).unwrap().contains("127.0.0.1:9"));
        (home, config)
    })
}

/// Fails if an agent of this machine alone still runs: other tests run agents at the same path.
fn assert_no_agent_runs() {
    let agents = "pgrep --ns $$ --nslist mnt --full '[/]usr/local/bin/registry-agent'";
    let pids = Command::new("sh").args(["-c", agents]).output().unwrap();
    assert_eq!(output_text(&pids), "", "an agent still runs");
}

#[test]
fn uninstall_removes_what_was_installed_and_what_agents_of_all_users_wrote() {
    let machine = Machine::new();
    let before = files(&PRIVATE);
    succeed(&mut machine.script(&["dash"], &[], &[("_REMOTE_USER", "vscode")]));
    let users = agents_of_two_users();

    // Another user, who uses the name of a directory, keeps nothing.
    let squatted = ["/tmp/registry-agent-0", "/dev/shm/registry-agent-0"].map(Path::new);
    for path in squatted {
        fs::write(path, "").unwrap();
        chown(path, Some(1001), Some(1001)).unwrap();
    }
    let said = output_text(&succeed(&mut uninstall(&machine)));
    assert!(said.ends_with("registry-agent is removed\n"), "{said}");
    for (home, config) in users {
        assert_eq!(fs::read_to_string(config).unwrap().trim_end(), "{\n}");
        assert!(!home.join(".local/state/registry-agent").exists());
        fs::remove_dir_all(home).unwrap();
    }
    for path in squatted {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(files(&PRIVATE), before);
    assert_no_agent_runs();
}

#[test]
fn no_user_keeps_the_programs_from_being_removed_and_what_stays_is_named() {
    let machine = Machine::new();
    let before = files(&PRIVATE);
    succeed(&mut machine.script(&["dash"], &[], &[("_REMOTE_USER", "vscode")]));
    let [(broken_home, broken), (home, config)] = agents_of_two_users();
    fs::write(broken, "{").unwrap();
    let output = uninstall(&machine).output().unwrap();
    let said = output_text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for named in [
        "/home/vscode/.docker/config.json",
        "/home/vscode/.local/state/registry-agent stays",
        "registry-agent is removed, except for what is named above",
        HELPER,
    ] {
        assert!(said.contains(named), "{said}");
    }
    // Docker fails if its configuration names a helper that is not there.
    fs::remove_file(HELPER).unwrap();
    fs::remove_dir(Path::new(HELPER).parent().unwrap()).unwrap();
    assert_eq!(fs::read_to_string(config).unwrap().trim_end(), "{\n}");
    assert!(!home.join(".local/state/registry-agent").exists());
    // That of the lock stays as well, so that the helper starts no agent.
    for directory in [broken_home, home, "/tmp/registry-agent-1000".into()] {
        fs::remove_dir_all(directory).unwrap();
    }
    assert_eq!(files(&PRIVATE), before);
    assert_no_agent_runs();
}

#[test]
fn uninstall_keeps_a_configuration_that_somebody_wrote() {
    let machine = Machine::new();
    succeed(&mut machine.script(&["dash"], &[], &[("_REMOTE_USER", "vscode")]));
    write(Path::new(CONFIG), "verify = false\n");
    succeed(&mut machine.script(&["dash"], &[], &[("_REMOTE_USER", "vscode")]));
    let said = output_text(&succeed(&mut machine.script(&["dash"], &["uninstall"], &[])));
    assert!(said.contains("config.toml stays, because it was changed; to remove it, run `rm -r /etc/registry-agent`"), "{said}");
    assert_eq!(files(&["/usr/local"]), Vec::<String>::new());
    assert_eq!(fs::read_to_string(CONFIG).unwrap(), "verify = false\n");
    let again = machine.script(&["dash"], &["uninstall"], &[]).output().unwrap();
    assert!(output_text(&again).contains("registry-agent is not installed in /usr/local"));
}
