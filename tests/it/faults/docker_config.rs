//! The docker configuration: malformed, not readable, not writable, on a full disk, or with an entry of
//! the user's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Fault, PASSWORD, USER, assert_well, home_for, registry};
use crate::support::isolated::{self, Etc};
use crate::support::mounts::Mounted;
use crate::support::processes::wait_until;
use crate::support::registry::Registry;
use crate::support::test_home::{TestHome, output_text, succeed};

/// A user that no machine has.
pub(super) const DEV: u32 = 41_043;

fn config_of(home: &TestHome) -> PathBuf {
    let config = home.path(".docker/config.json");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    config
}

fn helper_in(config: &Path, server: &str) -> Value {
    let config: Value = serde_json::from_slice(&fs::read(config).unwrap()).unwrap();
    config["credHelpers"][server].clone()
}

/// Waits for the error, which names the configuration, pastes its fix, and expects a login.
fn paste_the_fix(home: &TestHome, registry: &Registry, code: &str, command: &str) {
    let config = home.path(".docker/config.json");
    let fault = Fault::error(home, code);
    fault.says(&[config.to_str().unwrap()]).checked(home, &["ACME"], 1);
    let command = command.replace("DIR", config.parent().unwrap().to_str().unwrap());
    assert!(fault.fix.contains(&format!("`{command}")), "{command:?} is not in {:?}", fault.fix);
    fault.paste(home);
    Fault::is_gone(home, code);
    assert_well(home, &registry.server(), (USER, PASSWORD));
    assert_eq!(helper_in(&config, &registry.server()), "registry-agent");
}

#[test]
fn a_malformed_configuration_is_moved_away_by_the_printed_line() {
    let registry = registry();
    let home = home_for(&registry);
    fs::write(config_of(&home), "{\n  \"auths\": {]\n}\n").unwrap();
    home.start();
    Fault::error(&home, "docker-config-malformed").says(&["line 2"]);
    paste_the_fix(&home, &registry, "docker-config-malformed", "mv -i DIR/config.json");
}

#[test]
fn a_repaired_configuration_is_seen_by_the_next_check() {
    let registry = registry();
    let home = home_for(&registry);
    home.start_agent();
    for (code, broken) in
        [("docker-config-malformed", "{"), ("docker-config-not-entries", "{\"credHelpers\": []}")]
    {
        fs::write(config_of(&home), broken).unwrap();
        Fault::error(&home, code).checked(&home, &["ACME"], 1);
        fs::write(config_of(&home), "{}").unwrap();
        let check = home.agent(&["check", "ACME"]).output().unwrap();
        assert!(check.status.success(), "{}", output_text(&check));
    }
}

#[test]
fn a_byte_order_mark_is_removed_as_the_fix_says() {
    let registry = registry();
    let home = home_for(&registry);
    fs::write(config_of(&home), "\u{feff}{}").unwrap();
    home.start();
    let code = "docker-config-byte-order-mark";
    paste_the_fix(
        &home,
        &registry,
        code,
        "sed -i \"1s/^$(printf '\\357\\273\\277')//\" DIR/config.json",
    );
}

#[test]
fn a_credentials_store_that_hides_plain_logins_is_removed_or_the_helper_is_used() {
    let registry = registry();
    let server = registry.server();
    for way in ["remove `credsStore`", "set `mode = \"helper\"`"] {
        let home = home_for(&registry);
        symlink("/bin/false", home.path("bin/docker-credential-empty")).unwrap();
        let configuration = home.path(".config/registry-agent/config.toml");
        fs::create_dir_all(configuration.parent().unwrap()).unwrap();
        fs::write(&configuration, "mode = \"auths\"\n").unwrap();
        let config = config_of(&home);
        fs::write(&config, "{\"credsStore\": \"empty\"}").unwrap();
        home.start();
        let check = home.agent(&["check", "ACME"]).output().unwrap();
        let text = output_text(&check);
        assert_eq!(check.status.code(), Some(1), "{text}");
        assert!(text.contains("credentials-store-first") && text.contains(way), "{text}");
        if way.starts_with("remove") {
            let text = fs::read_to_string(&config).unwrap();
            fs::write(&config, text.replace("\"credsStore\": \"empty\",", "")).unwrap();
        } else {
            fs::write(&configuration, "mode = \"helper\"\n").unwrap();
            wait_until("the helper is not published", || {
                helper_in(&config, &server) == "registry-agent"
            });
        }
        let check = home.agent(&["check", "ACME"]).output().unwrap();
        assert!(check.status.success(), "{}", output_text(&check));
    }
}

#[test]
fn a_user_without_a_home_gets_one_from_the_printed_line() {
    isolated::run(&Etc::default(), async || {
        // Only root may write to the root directory, whatever the tests run in.
        let tmp = Mounted::tmpfs(Path::new("/tmp"), "50m");
        let registry = registry();
        let home = home_for(&registry);
        set_mode(&home.path(""), 0o755);
        set_mode(Path::new("/tmp"), 0o1777);
        for home_variable in ["--unset=HOME", "HOME=/"] {
            let by_dev = |script: &str| {
                let mut shell = home.with_declared(home.command("setpriv"));
                shell.args([&format!("--reuid={DEV}"), &format!("--regid={DEV}")]);
                shell.args(["--clear-groups", "env", "--unset=REGISTRY_AGENT_SOCKET"]);
                shell.args([home_variable, "sh", "-c", script]);
                shell
            };
            let sync = output_text(&by_dev("registry-agent sync").output().unwrap());
            assert!(sync.contains("HOME is not set, or is `/`"), "{sync}");
            let fix = sync.split('`').skip(1).step_by(2).find(|part| part.contains("mkdir"));
            let fix = fix.unwrap_or_else(|| panic!("no fix: {sync}"));
            let fix: Vec<_> = fix.split_whitespace().collect();
            let script = format!(
                "{}; registry-agent check ACME; status=$?; registry-agent stop; rm -r \"$HOME\"; exit $status",
                fix.join(" ")
            );
            succeed(&mut by_dev(&script));
        }
        drop((home, tmp));
    });
}

#[test]
fn root_has_a_home_without_the_variable() {
    isolated::run(&Etc::default(), async || {
        let _root = Mounted::tmpfs(Path::new("/root"), "1m");
        let registry = registry();
        let home = home_for(&registry);
        let run = |arguments: &[&str]| {
            let mut command = home.with_declared(home.agent(arguments));
            succeed(command.env_remove("HOME"))
        };
        run(&["sync"]);
        run(&["check", "ACME"]);
        let config = Path::new("/root/.docker/config.json");
        assert_eq!(helper_in(config, &registry.server()), "registry-agent");
        run(&["stop"]);
        drop(home);
    });
}

/// Runs `test` with a home of an unprivileged user, as whom root starts the agent.
pub(super) fn as_user(test: impl FnOnce(&TestHome, &Registry) + Send) {
    isolated::run(&Etc::default(), async || {
        // The directory for sockets that root creates for the user.
        let _run = Mounted::tmpfs(Path::new("/run"), "1m");
        let registry = registry();
        let home = home_for(&registry);
        let top = home.path("");
        let passwd =
            format!("root:x:0:0::/root:/bin/sh\ndev:x:{DEV}:{DEV}::{}:/bin/sh\n", top.display());
        isolated::write("passwd", &passwd);
        isolated::write("registry-agent/config.toml", "user = \"dev\"\n");
        config_of(&home);
        fs::create_dir_all(home.path(".local/state")).unwrap();
        succeed(Command::new("chown").args(["-R", &format!("{DEV}:{DEV}")]).arg(&top));
        test(&home, &registry);
        home.exit_of(&["stop"]);
        drop(home);
    });
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The code, the command to paste, and how the fault comes about.
type Case = (&'static str, &'static str, fn(&Path));

#[test]
fn a_configuration_that_may_not_be_read_or_written_is_opened_by_the_printed_line() {
    let cases: [Case; 6] = [
        ("docker-config-unreadable", "chown dev DIR/config.json", |config| {
            fs::write(config, "{}").unwrap();
            set_mode(config, 0o600);
        }),
        ("docker-config-unreadable", "chmod u+rw DIR/config.json", |config| {
            fs::write(config, "{}").unwrap();
            chown(config, Some(DEV), Some(DEV)).unwrap();
            set_mode(config, 0o000);
        }),
        ("docker-config-unreadable", "chown -R dev DIR", |config| {
            fs::write(config, "{}").unwrap();
            chown(config.parent().unwrap(), Some(0), Some(0)).unwrap();
            set_mode(config.parent().unwrap(), 0o700);
        }),
        ("docker-config-unwritable", "chown -R dev DIR", |config| {
            chown(config.parent().unwrap(), Some(0), Some(0)).unwrap();
            set_mode(config.parent().unwrap(), 0o755);
        }),
        ("docker-config-unwritable", "chmod u+w DIR", |config| {
            set_mode(config.parent().unwrap(), 0o555);
        }),
        ("docker-config-unwritable", "chattr -i DIR/config.json", |config| {
            fs::write(config, "{}").unwrap();
            chown(config, Some(DEV), Some(DEV)).unwrap();
            succeed(Command::new("chattr").arg("+i").arg(config));
        }),
    ];
    for (code, command, break_it) in cases {
        as_user(|home, registry| {
            break_it(&home.path(".docker/config.json"));
            home.start();
            paste_the_fix(home, registry, code, command);
        });
    }
}

#[test]
fn a_directory_of_the_system_is_not_given_to_the_user_and_another_one_helps() {
    for linked in [true, false] {
        as_user(|home, registry| {
            isolated::write("shadow", "root:*:19000::::::\n");
            isolated::write("ssl/config.json", "{}");
            for file in ["/etc/shadow", "/etc/ssl/config.json"] {
                set_mode(Path::new(file), 0o600);
            }
            let sync = |directory: &Path| {
                let mut sync = home.with_declared(home.agent(&["sync"]));
                output_text(&sync.env("DOCKER_CONFIG", directory).output().unwrap())
            };
            let config = home.path(".docker/config.json");
            let directory = if linked {
                symlink("/etc/shadow", &config).unwrap();
                config.parent().unwrap()
            } else {
                Path::new("/etc/ssl")
            };
            sync(directory);
            let fault = Fault::error(home, "docker-config-unreadable");
            for giving in ["chown", "chmod", "chattr"] {
                assert!(!fault.fix.contains(giving), "{}", fault.fix);
            }
            assert!(fault.fix.starts_with("set DOCKER_CONFIG to a directory"), "{}", fault.fix);
            let own = home.path("own");
            sync(&own);
            Fault::is_gone(home, "docker-config-unreadable");
            assert_eq!(helper_in(&own.join("config.json"), &registry.server()), "registry-agent");
        });
    }
}

#[test]
fn a_link_in_the_home_gives_the_user_no_directory_of_the_system() {
    as_user(|home, _| {
        set_mode(Path::new("/etc"), 0o755);
        symlink("/etc", home.path(".docker/link")).unwrap();
        let mut sync = home.with_declared(home.agent(&["sync"]));
        sync.env("DOCKER_CONFIG", home.path(".docker/link/new")).output().unwrap();
        let fault = Fault::error(home, "docker-config-unwritable");
        assert!(!fault.fix.contains("chown"), "{}", fault.fix);
    });
}

#[test]
fn on_a_read_only_file_system_another_directory_helps() {
    let registry = registry();
    let mut home = home_for(&registry);
    let disk = Mounted::tmpfs(&home.path("disk"), "1m");
    fs::create_dir(home.path("disk/docker")).unwrap();
    symlink("disk/docker", home.path(".docker")).unwrap();
    succeed(Command::new("mount").args(["-o", "remount,ro"]).arg(home.path("disk")));
    home.sync_in_vain();
    let fault = Fault::error(&home, "docker-config-unwritable");
    fault.says(&[home.path(".docker/config.json").to_str().unwrap(), "read-only"]).checked(
        &home,
        &[],
        1,
    );
    assert!(fault.fix.starts_with("set DOCKER_CONFIG to a directory"), "{}", fault.fix);
    let directory = home.path("writable");
    home.set("DOCKER_CONFIG", directory.to_str().unwrap());
    fault.paste(&home);
    Fault::is_gone(&home, "docker-config-unwritable");
    assert_eq!(helper_in(&directory.join("config.json"), &registry.server()), "registry-agent");
    succeed(&mut home.agent(&["stop"]));
    drop((home, disk));
}

#[test]
fn a_full_disk_needs_space_and_nothing_else() {
    let registry = registry();
    let home = home_for(&registry);
    symlink("disk/docker", home.path(".docker")).unwrap();
    let disk = Mounted::tmpfs(&home.path("disk"), "64k");
    fs::create_dir(home.path("disk/docker")).unwrap();
    let filler = disk.fill();
    home.start();
    let fault = Fault::error(&home, "docker-config-no-room");
    fault.says(&[home.path(".docker/config.json").to_str().unwrap(), "os error 28"]).checked(
        &home,
        &[],
        1,
    );
    assert!(fault.fix.starts_with("free space on the file system of"), "{}", fault.fix);
    fs::remove_file(filler).unwrap();
    Fault::is_gone(&home, "docker-config-no-room");
    assert_well(&home, &registry.server(), (USER, PASSWORD));
    assert_eq!(helper_in(&home.path(".docker/config.json"), &registry.server()), "registry-agent");
    succeed(&mut home.agent(&["stop"]));
    drop((home, disk));
}

#[test]
fn an_entry_for_another_helper_is_quoted_so_that_it_can_be_removed() {
    let registry = registry();
    let server = registry.server();
    let home = home_for(&registry);
    let config = config_of(&home);
    let entry = format!("\"{server}\": \"pass\"");
    fs::write(&config, format!("{{\"credHelpers\": {{{entry}}}}}")).unwrap();
    home.start();
    let fault = Fault::error(&home, "other-helper");
    fault.says(&[config.to_str().unwrap(), &server, "`pass`"]).checked(&home, &[&server], 1);
    let status = output_text(&home.agent(&["status"]).output().unwrap());
    let sentence = status.lines().find(|line| line.starts_with("problem:")).unwrap();
    assert_eq!(sentence.matches(config.to_str().unwrap()).count(), 1, "{sentence}");
    let told = format!("remove {entry} from `credHelpers` in {}", config.display());
    assert!(fault.fix.starts_with(&told), "{}", fault.fix);
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains(&entry), "the quoted entry is in the file: {text}");
    fs::write(&config, text.replace(&entry, "")).unwrap();
    Fault::is_gone(&home, "other-helper");
    assert_well(&home, &server, (USER, PASSWORD));
    assert_eq!(helper_in(&config, &server), "registry-agent");
}

#[test]
fn a_separate_mount_is_written_once_the_configuration_says_so() {
    let registry = registry();
    let home = home_for(&registry);
    let disk = Mounted::tmpfs(&home.path(".docker"), "1m");
    home.start();
    let fault = Fault::error(&home, "docker-config-mount");
    fault.checked(&home, &["ACME"], 1);
    assert!(fault.fix.contains("`publish_to_mounts = true` in the configuration"), "{}", fault.fix);
    let configuration = home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(configuration.parent().unwrap()).unwrap();
    fs::write(configuration, "publish_to_mounts = true\n").unwrap();
    Fault::is_gone(&home, "docker-config-mount");
    assert_well(&home, &registry.server(), (USER, PASSWORD));
    succeed(&mut home.agent(&["stop"]));
    drop((home, disk));
}

#[test]
fn a_plain_login_of_the_user_is_removed_by_the_printed_line() {
    let registry = registry();
    let server = registry.server();
    let home = home_for(&registry);
    let configuration = home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(configuration.parent().unwrap()).unwrap();
    fs::write(configuration, "mode = \"auths\"\n").unwrap();
    let config = config_of(&home);
    fs::write(&config, format!("{{\"auths\": {{\"{server}\": {{\"auth\": \"dTpw\"}}}}}}")).unwrap();
    home.start();
    Fault::error(&home, "other-login").says(&[&server]).checked(&home, &[], 1).paste(&home);
    Fault::is_gone(&home, "other-login");
    assert_eq!(home.exit_of(&["status"]), 0);
    let written: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    assert_eq!(written["auths"][&server]["auth"], "ZGV2OnJpZ2h0LXBhc3N3b3Jk");
}

#[test]
fn what_is_in_the_place_of_the_configuration_is_moved_away_by_the_printed_line() {
    let registry = registry();
    let code = "docker-config-not-a-file";
    let home = home_for(&registry);
    fs::create_dir(config_of(&home)).unwrap();
    fs::write(config_of(&home).join("a"), "a").unwrap();
    home.sync_in_vain();
    paste_the_fix(&home, &registry, code, "mv -i DIR/config.json DIR/config.json.broken");

    let set_ups: [fn(&Path); 2] = [
        |directory| fs::write(directory, "a").unwrap(),
        |directory| symlink(directory, directory).unwrap(),
    ];
    for set_up in set_ups {
        let home = home_for(&registry);
        let directory = home.path(".docker");
        set_up(&directory);
        home.sync_in_vain();
        Fault::error(&home, code).says(&[&format!("{} is not a directory", directory.display())]);
        paste_the_fix(&home, &registry, code, "mv -i DIR DIR.broken");
    }
}
