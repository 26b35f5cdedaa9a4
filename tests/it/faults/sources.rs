//! Files with variables: malformed, kept open, unreadable.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::docker_config::{DEV, as_user};
use super::{Fault, NOT_WELL, PASSWORD, USER, assert_well, home_for, registry, unwrapped};
use crate::support::isolated;
use crate::support::mounts::Mounted;
use crate::support::processes::wait_until;
use crate::support::registry::Registry;
use crate::support::test_home::{TestHome, output_text};

fn set_for(registry: &Registry) -> String {
    [("SERVER", &*registry.server()), ("USER", USER), ("PASSWORD", PASSWORD)]
        .map(|(suffix, value)| format!("ACME_CONTAINER_REGISTRY_{suffix}={value}\n"))
        .concat()
}

/// Makes a file of this home a source.
fn source_of(home: &TestHome) -> PathBuf {
    let file = home.path("registries.env");
    let config = home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, format!("sources = [\"{}\"]\n", file.display())).unwrap();
    file
}

#[test]
fn a_malformed_codespaces_file_is_named_with_its_line() {
    let _workspaces = Mounted::tmpfs(Path::new("/workspaces"), "1m");
    let registry = registry();
    let home = TestHome::new();
    let file = Path::new("/workspaces/.codespaces/shared/user-secrets-envs.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let set = json!({
        "ACME_CONTAINER_REGISTRY_SERVER": registry.server(),
        "ACME_CONTAINER_REGISTRY_USER": USER,
        "ACME_CONTAINER_REGISTRY_PASSWORD": PASSWORD,
    });
    let set = format!("{set:#}\n");
    fs::write(file, set.replace(',', "")).unwrap();
    home.start();
    let fault = Fault::error(&home, "file-malformed");
    fault.says(&[file.to_str().unwrap(), "line 3"]).checked(&home, &[], 1);
    assert!(fault.fix.starts_with(&format!("correct {}", file.display())), "{}", fault.fix);
    assert!(fault.fix.contains("start it again"), "{}", fault.fix);
    fs::write(file, set).unwrap();
    Fault::is_gone(&home, "file-malformed");
    assert_eq!(home.exit_of(&["wait", "ACME"]), 0);
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn a_codespaces_file_of_another_user_gets_no_password_until_the_printed_lines_are_run() {
    let _workspaces = Mounted::tmpfs(Path::new("/workspaces"), "1m");
    let registry = registry();
    let home = home_for(&registry);
    let thief = TcpListener::bind("127.0.0.1:0").unwrap();
    thief.set_nonblocking(true).unwrap();
    let address = thief.local_addr().unwrap();
    let file = Path::new("/workspaces/.codespaces/shared/.env");
    let directory = file.parent().unwrap();
    fs::create_dir_all(directory).unwrap();
    fs::write(file, format!("ACME_CONTAINER_REGISTRY_SERVER=http://{address}\n")).unwrap();
    for path in [file, directory] {
        chown(path, Some(DEV), Some(DEV)).unwrap();
    }
    home.start();
    for (owned, says) in [
        (directory, format!("its directory belongs to uid {DEV}")),
        (file, format!("it belongs to uid {DEV}")),
    ] {
        wait_until("the other reason stays", || {
            home.problems(file.to_str().unwrap()).iter().any(|(problem, _)| problem.contains(&says))
        });
        let fault = Fault::error(&home, "file-of-another-user");
        fault.says(&[file.to_str().unwrap(), &says]).checked(&home, &[], 1);
        let fix = format!("run `chown root {}` as root", owned.display());
        assert!(fault.fix.starts_with(&fix), "{}", fault.fix);
        let served = Some((USER.to_owned(), PASSWORD.to_owned()));
        assert_eq!(home.credential(&registry.server()), served);
        assert_eq!(thief.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        if owned == file {
            fs::write(file, set_for(&registry)).unwrap();
        }
        fault.paste(&home);
    }
    Fault::is_gone(&home, "file-of-another-user");
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

/// Fails unless every command names the file before the variable that may be in it, and nothing that
/// is not true.
fn assert_file_leads(home: &TestHome, file: &Path, fault: &str) {
    for (arguments, status) in [
        (&["sync"][..], 1),
        (&["start"], 0),
        (&["check", "ACME"], 1),
        (&["wait", "ACME", "--timeout", "1s"], 1),
        (&["status"], NOT_WELL),
    ] {
        let output = home.with_declared(home.agent(arguments)).output().unwrap();
        let text = unwrapped(&output_text(&output));
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
        let named = text.find(&format!("{} {fault}", file.display()));
        let named = named.unwrap_or_else(|| panic!("{arguments:?} does not name it: {text}"));
        let missing = text.find("ACME_CONTAINER_REGISTRY_PASSWORD").unwrap_or(usize::MAX);
        assert!(named < missing, "{arguments:?}: {text}");
        for untrue in
            ["as a secret", "last good values", "set and export", "no set of variables has"]
        {
            assert!(!text.contains(untrue), "{arguments:?} says {untrue:?}: {text}");
        }
    }
}

#[test]
fn a_file_that_may_hold_the_missing_password_is_named_first_by_every_command() {
    let _workspaces = Mounted::tmpfs(Path::new("/workspaces"), "1m");
    let registry = registry();
    let file = Path::new("/workspaces/.codespaces/shared/user-secrets-envs.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let password = format!("{{\n\"ACME_CONTAINER_REGISTRY_PASSWORD\": \"{PASSWORD}\"\n");
    let mut home = home_for(&registry);
    home.unset("ACME_CONTAINER_REGISTRY_PASSWORD");

    fs::write(file, &password).unwrap();
    home.start();
    assert_file_leads(&home, file, "cannot be parsed");
    let mut writer = Command::new("sh")
        .args(["-c", "exec 3> \"$0\"; printf '%s' \"$1\" >&3; echo ready; exec sleep 300 0>&-"])
        .args([file.to_str().unwrap(), &password])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(writer.stdout.as_mut().unwrap(), &mut ready).unwrap();
    Fault::error(&home, "file-kept-open");
    assert_file_leads(&home, file, "is kept open for writing");
    writer.kill().unwrap();
    writer.wait().unwrap();

    fs::write(file, password + "}\n").unwrap();
    Fault::is_gone(&home, "file-malformed");
    assert_eq!(home.exit_of(&["wait", "ACME"]), 0);
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn a_malformed_file_is_named_first_also_if_nothing_of_the_set_is_known() {
    let _workspaces = Mounted::tmpfs(Path::new("/workspaces"), "1m");
    let file = Path::new("/workspaces/.codespaces/shared/user-secrets-envs.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, "{\"ACME_CONTAINER_REGISTRY_PASSWORD\": \n").unwrap();
    let home = TestHome::new();
    home.start();
    for arguments in [&["check", "ACME"][..], &["status"], &["wait"]] {
        let text = unwrapped(&output_text(&home.agent(arguments).output().unwrap()));
        assert!(text.contains(&format!("{} cannot be parsed", file.display())), "{text}");
        assert!(!text.contains("set and export") && !text.contains("last good values"), "{text}");
        assert!(!text.contains("no set of variables has"), "{text}");
    }
}

#[test]
fn the_process_that_keeps_a_source_open_is_named_and_ended_by_the_printed_line() {
    let registry = registry();
    let home = TestHome::new();
    let file = source_of(&home);
    let mut writer = Command::new("sh")
        .args(["-c", "exec 3> \"$0\"; printf '%s' \"$1\" >&3; echo ready; exec sleep 300 0>&-"])
        .args([file.to_str().unwrap(), &set_for(&registry)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(writer.stdout.as_mut().unwrap(), &mut ready).unwrap();
    home.start();
    let fault = Fault::error(&home, "file-kept-open");
    fault.says(&[file.to_str().unwrap(), &format!("sleep (pid {})", writer.id())]);
    fault.checked(&home, &[], 1).paste(&home);
    writer.wait().unwrap();
    Fault::is_gone(&home, "file-kept-open");
    assert_eq!(home.exit_of(&["wait", "ACME"]), 0);
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn an_unreadable_source_is_made_readable_by_the_printed_line() {
    for own in [true, false] {
        as_user(|home, registry| {
            let file = &source_of(home);
            fs::write(file, set_for(registry)).unwrap();
            if own {
                chown(file, Some(DEV), None).unwrap();
            }
            let mode = if own { 0o000 } else { 0o600 };
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
            assert!(home.agent(&["start"]).status().unwrap().success());
            let fault = Fault::error(home, "file-unreadable");
            let verb = if own { "`chmod u+rX" } else { "`chown dev" };
            let shown = file.display().to_string();
            fault.says(&[&shown, "Permission denied"]);
            assert!(fault.fix.contains(&format!("{verb} {shown}`")), "{}", fault.fix);
            fault.checked(home, &[], 1);
            assert_sync_names(home, registry, &shown);
            fault.paste(home);
            Fault::is_gone(home, "file-unreadable");
            assert_eq!(home.exit_of(&["wait", "ACME"]), 0);
            assert_well(home, &registry.server(), (USER, PASSWORD));
        });
    }
}

/// Fails unless `sync` without the password names the unreadable file that may contain it.
fn assert_sync_names(home: &TestHome, registry: &Registry, file: &str) {
    let server = registry.server();
    let user = [("SERVER", &*server), ("USER", USER)];
    let user = user.map(|(suffix, value)| (format!("ACME_CONTAINER_REGISTRY_{suffix}"), value));
    let sync = home.agent(&["sync"]).envs(user).output().unwrap();
    let text = unwrapped(&output_text(&sync));
    assert_eq!(sync.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("{file} cannot be read")), "{text}");
    assert!(!text.contains("as a secret"), "{text}");
}

#[test]
fn a_file_of_the_system_is_not_given_to_the_user_and_one_in_the_home_replaces_it() {
    as_user(|home, registry| {
        let file = Path::new("/etc/environment");
        fs::write(file, set_for(registry)).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(home.agent(&["start"]).status().unwrap().success());
        let fault = Fault::error(home, "file-unreadable");
        assert_sync_names(home, registry, "/etc/environment");
        assert_leads_into_the_home(&fault.fix);
        let own = source_of(home);
        fs::copy(file, &own).unwrap();
        chown(&own, Some(DEV), None).unwrap();
        Fault::is_gone(home, "file-unreadable");
        assert_well(home, &registry.server(), (USER, PASSWORD));
    });
    as_user(|home, registry| {
        isolated::write("shadow", "root:*:19000::::::\n");
        let shadow = Path::new("/etc/shadow");
        fs::set_permissions(shadow, fs::Permissions::from_mode(0o600)).unwrap();
        let server = registry.server();
        let sync = |password: &Path| {
            let mut sync = home.agent(&["sync"]);
            for (suffix, value) in [
                ("SERVER", &*server),
                ("USER", USER),
                ("PASSWORD_FILE", password.to_str().unwrap()),
            ] {
                sync.env(format!("ACME_CONTAINER_REGISTRY_{suffix}"), value);
            }
            sync.output().unwrap()
        };
        let text = unwrapped(&output_text(&sync(shadow)));
        assert!(text.contains("/etc/shadow cannot be read"), "{text}");
        assert_leads_into_the_home(&text);
        let own = home.path("password");
        fs::write(&own, PASSWORD).unwrap();
        assert!(sync(&own).status.success());
        assert_well(home, &server, (USER, PASSWORD));
    });
}

/// Fails if a line that root pastes would change who may read or write a file of the system.
fn assert_leads_into_the_home(fix: &str) {
    for giving in ["chown", "chmod", "permission to read"] {
        assert!(!fix.contains(giving), "{fix}");
    }
    assert!(fix.contains("a file in your home directory"), "{fix}");
}

#[test]
fn a_line_of_an_env_file_that_is_no_assignment_is_named_and_the_login_stays() {
    let registry = registry();
    let home = TestHome::new();
    let (file, good) = (source_of(&home), set_for(&registry));
    fs::write(&file, &good).unwrap();
    home.start();
    assert_well(&home, &registry.server(), (USER, PASSWORD));
    let name = "ACME_CONTAINER_REGISTRY_PASSWORD";
    for (line, fault) in [
        (format!("{name} = {PASSWORD}"), "line 3 is not NAME=value"),
        (format!("{name}: {PASSWORD}"), "line 3 is not NAME=value"),
        (PASSWORD.to_owned(), "line 3 is not NAME=value"),
        (format!("{name}='{PASSWORD}"), "line 3: the closing quote is missing"),
        (format!("{name}='{PASSWORD}' x"), "line 3: text follows the closing quote"),
    ] {
        let good_line = format!("{name}={PASSWORD}");
        fs::write(&file, good.replace(&good_line, &line)).unwrap();
        let shown = Fault::error(&home, "file-malformed");
        shown.says(&[file.to_str().unwrap(), fault]).checked(&home, &[], 0);
        assert!(!shown.sentence.contains(PASSWORD), "{}", shown.sentence);
        assert_eq!(home.login("ACME")["state"], "ready", "{line}");
        let served = Some((USER.to_owned(), PASSWORD.to_owned()));
        assert_eq!(home.credential(&registry.server()), served, "{line}");
        fs::write(&file, &good).unwrap();
        Fault::is_gone(&home, "file-malformed");
    }
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn a_quote_that_is_not_closed_is_the_only_problem_of_a_new_env_file() {
    let registry = registry();
    let home = TestHome::new();
    let file = source_of(&home);
    fs::write(&file, set_for(&registry).replace(PASSWORD, &format!("\"{PASSWORD}"))).unwrap();
    home.start();
    let fault = Fault::error(&home, "file-malformed");
    fault.says(&["line 3: the closing quote is missing"]);
    assert_eq!(home.status()["problems"].as_array().unwrap().len(), 1, "{:#}", home.status());
    fs::write(&file, set_for(&registry)).unwrap();
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn a_source_that_does_not_exist_is_named_unless_it_is_a_default_one() {
    let registry = registry();
    let home = TestHome::new();
    let file = source_of(&home);
    let config = home.path(".config/registry-agent/config.toml");
    let sources = format!(
        "sources = [\"$CREDENTIALS_DIRECTORY\", \"/run/secrets\", \"{}\"]\n",
        file.display()
    );
    fs::write(config, sources).unwrap();
    home.start();
    let fault = Fault::error(&home, "file-missing");
    fault.says(&[file.to_str().unwrap(), "does not exist", "`sources`"]).checked(&home, &[], 1);
    assert!(fault.fix.starts_with(&format!("create {}", file.display())), "{}", fault.fix);
    assert_eq!(home.status()["problems"].as_array().unwrap().len(), 1, "{:#}", home.status());
    fs::write(&file, set_for(&registry)).unwrap();
    Fault::is_gone(&home, "file-missing");
    assert_well(&home, &registry.server(), (USER, PASSWORD));
    fs::remove_file(&file).unwrap();
    Fault::error(&home, "file-missing");
}
