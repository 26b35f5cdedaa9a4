//! What keeps clients from asking the agent although the docker configuration names its helper.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{Fault, PASSWORD, USER, assert_well, home_for, registry};
use crate::support::test_home::{TestHome, output_text, succeed};

/// `skopeo inspect` asks for credentials and then for an image that does not exist: it tells whether
/// the registry accepted them.
fn skopeo_logs_in(home: &TestHome, server: &str) -> bool {
    let mut skopeo = home.command("skopeo");
    skopeo.args(["inspect", "--tls-verify=false", &format!("docker://{server}/none:latest")]);
    let text = output_text(&skopeo.output().unwrap());
    assert!(
        text.contains("manifest unknown") || text.contains("authentication required"),
        "{text}"
    );
    text.contains("manifest unknown")
}

fn auth_file(home: &TestHome, text: &str) -> String {
    let path = home.path(".config/containers/auth.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_login_in_podmans_file_is_removed_by_the_printed_line() {
    let registry = registry();
    let server = registry.server();
    let home = home_for(&registry);
    let login = format!("{{\"auths\": {{\"{server}\": {{\"auth\": \"dTpw\"}}}}}}");
    let path = auth_file(&home, &login);
    home.start();
    assert!(!skopeo_logs_in(&home, &server));
    let fault = Fault::error(&home, "shadowed-by-auth-file");
    fault.says(&[&path, &server, "`auths`"]).checked(&home, &["ACME"], 1).paste(&home);
    Fault::is_gone(&home, "shadowed-by-auth-file");
    assert!(skopeo_logs_in(&home, &server));
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn a_login_under_another_spelling_or_of_another_helper_is_named_as_written() {
    let registry = registry();
    let server = registry.server();
    for (section, entry, value) in [
        ("auths", format!("http://{server}"), "{\"auth\": \"dTpw\"}"),
        ("credHelpers", server.clone(), "\"pass\""),
    ] {
        let home = home_for(&registry);
        let path = auth_file(&home, &format!("{{\"{section}\": {{\"{entry}\": {value}}}}}"));
        home.start();
        let fault = Fault::error(&home, "shadowed-by-auth-file");
        let told = format!("remove the entry \"{entry}\" from `{section}` in {path}");
        assert_eq!(fault.says(&[&path, &entry]).checked(&home, &["ACME"], 1).fix, told);
        auth_file(&home, &format!("{{\"{section}\": {{}}}}"));
        Fault::is_gone(&home, "shadowed-by-auth-file");
        assert!(skopeo_logs_in(&home, &server));
        assert_well(&home, &server, (USER, PASSWORD));
    }
}

/// A home whose `PATH` has a directory for programs, without the helper.
fn without_helper(command: &mut Command, tools: &Path) {
    command.env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
}

#[test]
fn a_helper_that_is_not_on_path_is_linked_there_by_the_printed_line() {
    let registry = registry();
    let server = registry.server();
    let home = home_for(&registry);
    let tools = home.path("tools");
    fs::create_dir(&tools).unwrap();
    let mut start = home.with_declared(home.agent(&["start"]));
    without_helper(&mut start, &tools);
    succeed(&mut start);
    let fault = Fault::error(&home, "helper-not-on-path");
    fault.says(&["docker-credential-registry-agent"]).paste(&home);
    assert!(tools.join("docker-credential-registry-agent").exists(), "{}", fault.fix);
    Fault::is_gone(&home, "helper-not-on-path");
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn nobody_misses_the_helper_where_clients_read_the_logins_themselves() {
    let registry = registry();
    let home = home_for(&registry);
    let config = home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, "mode = \"auths\"\n").unwrap();
    let tools = home.path("tools");
    fs::create_dir(&tools).unwrap();
    let mut start = home.with_declared(home.agent(&["start"]));
    without_helper(&mut start, &tools);
    succeed(&mut start);
    assert_eq!(home.exit_of(&["wait"]), 0);
    assert_eq!(home.status()["problems"].as_array().unwrap().len(), 0, "{:#}", home.status());
    assert!(skopeo_logs_in(&home, &registry.server()));
}

#[test]
fn a_login_in_dockers_variable_is_named_by_check_only_if_docker_uses_it() {
    let registry = registry();
    let server = registry.server();
    let mut home = home_for(&registry);
    home.sync();
    assert_well(&home, &server, (USER, PASSWORD));
    let docker = home.path("bin/docker");
    fs::write(&docker, "#!/bin/sh\necho Docker version 28.3.0, build 38b7060\n").unwrap();
    fs::set_permissions(docker, fs::Permissions::from_mode(0o755)).unwrap();
    let check = |home: &TestHome| {
        let check = home.with_declared(home.agent(&["check", "ACME"])).output().unwrap();
        (check.status.code().unwrap(), output_text(&check))
    };
    let login = format!("\"{server}\": {{\"auth\": \"dTpw\"}}");
    for ignored in [
        format!("{{\"auths\": {{{login}}}, \"credsStore\": \"pass\"}}"),
        format!("{{\"auths\": {{{login}, \"quay.io\": {{}}}}}}"),
        format!("{{\"auths\": {{\"https://{server}\": {{\"auth\": \"dTpw\"}}}}}}"),
    ] {
        home.set("DOCKER_AUTH_CONFIG", &ignored);
        let (status, text) = check(&home);
        assert_eq!(status, 0, "{ignored}: {text}");
    }
    home.set("DOCKER_AUTH_CONFIG", &format!("{{\"auths\": {{{login}}}}}"));
    let (status, text) = check(&home);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("unset DOCKER_AUTH_CONFIG"), "{text}");
    home.unset("DOCKER_AUTH_CONFIG");
    assert_eq!(check(&home).0, 0);
}
