//! `check` and the clients of a shell: their configuration, other logins, the helper.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Checked, PASSWORD, USER, registry, started};
use crate::support::package_registry::PackageRegistry;
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json};
use crate::support::test_home::{TestHome, output_text, succeed};

#[test]
fn the_configuration_that_docker_reads_in_this_shell_counts() {
    let registry = registry();
    let home = started(&registry.server(), PASSWORD);
    let mut elsewhere = home.agent(&["check", "ACME"]);
    elsewhere.env("DOCKER_CONFIG", home.path("elsewhere"));
    let output = elsewhere.output().unwrap();
    let text = output_text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("failed   published") && text.contains("other-docker-config"), "{text}");
    let fix = format!("export DOCKER_CONFIG={}", home.path(".docker").display());
    assert!(text.contains(&fix), "{text}");
    let mut shell = home.command("sh");
    shell.args(["-c", &format!("{fix}; registry-agent check ACME")]);
    succeed(shell.env("DOCKER_CONFIG", home.path("elsewhere")));
}

#[test]
fn a_login_in_dockers_variable_is_a_remark_for_a_docker_that_does_not_read_it() {
    let registry = registry();
    let home = started(&registry.server(), PASSWORD);
    let auth = format!(r#"{{"auths": {{"{}": {{"auth": "ZGV2OngK"}}}}}}"#, registry.server());
    for (docker, reads) in [
        ("echo Docker version 28.2.2, build e6534b4", false),
        ("echo Docker version 20.10.24+dfsg1, build 297e128", false),
        ("echo Docker version 28.3.0, build 38b7060", true),
        ("echo podman version 5.4.2", true),
        ("exit 1", true),
        ("exec sleep 60", true),
    ] {
        write_program(&home, "docker", docker);
        let mut check = home.agent(&["check", "--json", "ACME"]);
        let checked = Checked::by(check.env("DOCKER_AUTH_CONFIG", &auth));
        if reads {
            assert_eq!(checked.failed(), ("not-shadowed", "shadowed-by-environment"), "{docker}");
        } else {
            assert_eq!(checked.status, 0, "{docker}: {:#?}", checked.steps);
            assert_eq!(checked.remarks("not-shadowed"), ["shadowed-by-environment"], "{docker}");
            let remark = checked.step("not-shadowed")["remarks"][0].to_string();
            assert!(remark.contains("28.3"), "{remark}");
        }
    }
}

fn write_program(home: &TestHome, name: &str, script: &str) {
    let path = home.path("bin").join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_any_image(heard: &ReceivedRequest) -> Vec<u8> {
    match heard.header("authorization") {
        Some(_) => json(200, &[], "{}"),
        None => json(401, &["WWW-Authenticate: Basic realm=\"x\""], "{}"),
    }
}

#[test]
fn podmans_login_for_a_path_is_named_to_whom_it_concerns() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = runtime.block_on(ScriptedRegistry::start("127.0.0.1:0", None, with_any_image));
    let server = registry.address.to_string();
    let home = started(&server, PASSWORD);
    let file = home.path(".config/containers/auth.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let login = r#"{"auth": "dTpw"}"#;
    let entries = format!(
        r#"{{"auths": {{"{server}/team": {login}, "{server}/team/app": {login}, "{server}/te": {login}}}}}"#
    );
    fs::write(file, entries).unwrap();
    for (what, entry) in [
        ("ACME".to_owned(), None),
        (format!("{server}/other/app:1"), None),
        (format!("{server}/teams/app:1"), None),
        (format!("{server}/team/app:1"), Some(format!("{server}/team/app"))),
        (format!("{server}/team/api"), Some(format!("{server}/team"))),
    ] {
        let checked = Checked::of(&home, &[&what]);
        let step = checked.step("not-shadowed");
        let Some(entry) = entry else {
            assert_eq!(step["outcome"], "passed", "{what}: {step:#}");
            let detail = step["detail"].as_str().unwrap();
            let but_for = format!("{server}/team, {server}/team/app, {server}/te (in ");
            assert_eq!(detail.contains(&but_for), what == "ACME", "{what}: {detail}");
            continue;
        };
        assert_eq!(checked.failed(), ("not-shadowed", "shadowed-by-auth-file"), "{what}");
        let detail = step["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`{entry}`")), "{what}: {detail}");
        let fix = step["fix"].as_str().unwrap();
        assert!(fix.contains(&entry), "{what}: {fix}");
    }
}

#[test]
fn the_helper_is_run_and_its_answer_compared() {
    let registry = registry();
    let home = started(&registry.server(), PASSWORD);
    let helper = home.path("bin/docker-credential-registry-agent");
    let recorder = fs::read_to_string(&helper).unwrap();
    for (program, step, code) in [
        ("echo broken >&2; exit 1", "helper", "helper-fails"),
        (
            "[ $1 = version ] && echo docker-credential-registry-agent 0.1.0 || { echo credentials not found; exit 1; }",
            "served",
            "login-not-served",
        ),
        (
            r#"[ $1 = version ] && echo docker-credential-registry-agent 0.1.0 || echo '{"ServerURL":"x","Username":"dev","Secret":"old"}'"#,
            "served",
            "other-login-served",
        ),
    ] {
        fs::write(&helper, format!("#!/bin/sh\n{program}\n")).unwrap();
        let checked = Checked::of(&home, &["ACME"]);
        assert_eq!(checked.failed(), (step, code), "{program}");
    }
    let other = recorder.replacen(
        "case $1 in",
        "[ $1 = version ] && echo docker-credential-registry-agent 9.9.9 && exit\ncase $1 in",
        1,
    );
    fs::write(&helper, other).unwrap();
    let checked = Checked::of(&home, &["ACME"]);
    assert_eq!((checked.status, checked.remarks("helper")), (0, vec!["helper-of-another-version"]));

    fs::set_permissions(&helper, fs::Permissions::from_mode(0o644)).unwrap();
    let mut nowhere = home.command(env!("CARGO_BIN_EXE_registry-agent"));
    nowhere.args(["check", "--json", "ACME"]).env("PATH", "/usr/bin:/bin");
    let checked = Checked::by(&mut nowhere);
    assert_eq!(checked.failed(), ("helper", "helper-not-on-path"));
}

#[test]
fn another_program_under_the_name_of_the_helper_is_named_with_what_it_prints() {
    let registry = registry();
    let home = started(&registry.server(), PASSWORD);
    let path = home.path("bin/docker-credential-registry-agent").display().to_string();
    for (program, said) in [
        ("echo hello from another program", "prints `hello from another program`"),
        ("exit 0", "`version` prints nothing"),
        ("echo cannot open the keyring >&2; exit 3", "cannot open the keyring"),
        ("exit 3", "exit status: 3"),
    ] {
        write_program(&home, "docker-credential-registry-agent", program);
        let checked = Checked::of(&home, &["ACME"]);
        assert_eq!(checked.failed(), ("helper", "helper-fails"), "{program}");
        let step = checked.step("helper");
        let (detail, fix) = (step["detail"].as_str().unwrap(), step["fix"].as_str().unwrap());
        assert!(detail.starts_with(&path) && detail.contains(said), "{program}: {detail}");
        assert!(fix.contains(&path), "{fix}");
    }
}

#[test]
fn a_helper_that_does_not_end_or_does_not_stop_printing_is_named() {
    let registry = registry();
    let home = started(&registry.server(), PASSWORD);
    let ours = env!("CARGO_BIN_EXE_docker-credential-registry-agent");
    for (program, said) in [
        ("exec sleep 1000".to_owned(), "does not end within 13 s"),
        ("sleep 1000 & echo x".to_owned(), "does not end within 13 s"),
        ("exec yes".to_owned(), "does not stop printing"),
        (format!("[ $1 = version ] && exec {ours} version; exec yes"), "does not stop printing"),
    ] {
        write_program(&home, "docker-credential-registry-agent", &program);
        let checked = Checked::of(&home, &["ACME"]);
        let (step, _) = checked.failed();
        let detail = checked.step(step)["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{program}: {detail}");
    }
}

#[test]
fn a_package_client_that_does_not_end_holds_up_no_check() {
    let packages = PackageRegistry::start(&["Bearer a-token"]);
    let mut home = TestHome::new();
    let url = packages.url("/simple/");
    home.declare_packages("PYPI", &[("SERVER", url.as_str()), ("PASSWORD", "a-token")]);
    home.start();
    for client in ["pip", "git"] {
        write_program(&home, client, "exec yes");
    }
    let output = home.agent(&["check", "PYPI"]).output().unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", output_text(&output));
}

#[test]
fn logins_in_plain_text_are_compared_with_what_the_agent_verified() {
    let registry = registry();
    let mut home = TestHome::new();
    fs::create_dir_all(home.path(".config/registry-agent")).unwrap();
    fs::write(home.path(".config/registry-agent/config.toml"), "mode = \"auths\"\n").unwrap();
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    home.start_agent();
    let checked = Checked::of(&home, &["ACME"]);
    assert_eq!(checked.status, 0, "{:#?}", checked.steps);
    assert_eq!(checked.step("helper")["outcome"], "skipped");
    assert_eq!(checked.step("served")["outcome"], "passed");
}

#[test]
fn a_shell_without_a_home_is_told_to_set_it() {
    let registry = registry();
    let home = started(&registry.server(), PASSWORD);
    let mut check = home.agent(&["check", "--json", "ACME"]);
    let checked = Checked::by(check.env("HOME", "/"));
    assert_eq!(checked.failed(), ("published", "home-not-set"));
    let fix = checked.step("published")["fix"].as_str().unwrap().split('`').nth(1).unwrap();
    let mut shell = home.command("sh");
    shell.args(["-c", &format!("{fix}; registry-agent check ACME")]);
    succeed(shell.env("HOME", "/"));
}

#[test]
fn docker_looks_in_one_place_for_a_key() {
    let registry = registry();
    let home = started(&registry.server(), PASSWORD);
    let (server, file) = (registry.server(), home.path("elsewhere/config.json"));
    fs::create_dir(home.path("elsewhere")).unwrap();
    let login = format!(r#""auths": {{"{server}": {{"auth": "ZGV2OnJpZ2h0LXBhc3N3b3Jk"}}}}"#);
    for (text, step, code) in [
        ("{".to_owned(), "published", "docker-config-malformed"),
        (r#"{"credHelpers": 1}"#.to_owned(), "published", "docker-config-not-entries"),
        (format!(r#"{{"credHelpers": {{"{server}": "pass"}}}}"#), "published", "other-helper"),
        (r#"{"credsStore": "pass"}"#.to_owned(), "published", "other-docker-config"),
        (format!(r#"{{"credsStore": "pass", {login}}}"#), "not-shadowed", ""),
        (format!("\u{feff}{{{login}}}"), "published", "docker-config-byte-order-mark"),
        // It concerns other registries.
        (
            format!(
                r#"{{"credsStore": "absent", "credHelpers": {{"{server}": "registry-agent"}}}}"#
            ),
            "",
            "",
        ),
        (format!(r#"{{"CREDHELPERS": {{"{server}": "registry-agent"}}}}"#), "", ""),
        (format!("{{{login}}}"), "", ""),
    ] {
        fs::write(&file, &text).unwrap();
        let mut check = home.agent(&["check", "--json", "ACME"]);
        let checked = Checked::by(check.env("DOCKER_CONFIG", home.path("elsewhere")));
        if step.is_empty() {
            assert_eq!(checked.status, 0, "{text}: {:#?}", checked.steps);
            continue;
        }
        let (failed, found) = checked.failed();
        assert_eq!(failed, step, "{text}");
        assert!(code.is_empty() || found == code, "{text}: {found}");
    }
}
