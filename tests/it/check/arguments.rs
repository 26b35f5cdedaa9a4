//! What a person may name to `check`, and what is said of a text that is none of it.

use super::{Checked, PASSWORD, USER, registry, started};
use crate::support::test_home::{TestHome, output_text, succeed};

/// The line in the fix of the step that failed.
fn line_of(checked: &Checked) -> String {
    let failed = checked.steps.iter().find(|step| step["outcome"] == "failed").unwrap();
    let fix = failed["fix"].as_str().unwrap();
    fix.split('`').nth(1).unwrap_or_else(|| panic!("no command: {fix}")).to_owned()
}

fn detail_of(checked: &Checked) -> &str {
    let failed = checked.steps.iter().find(|step| step["outcome"] == "failed").unwrap();
    failed["detail"].as_str().unwrap()
}

#[test]
fn a_text_that_is_no_name_server_or_image_is_named_with_the_reason() {
    let registry = registry();
    let server = registry.server();
    let home = started(&server, PASSWORD);
    for (text, why) in [
        (format!("{server}/Team/app:1"), "repository names are lower case"),
        ("Team/app".to_owned(), "repository names are lower case"),
        ("ALPINE:3.20".to_owned(), "repository names are lower case"),
        (format!("docker://{server}/Team/app"), "repository names are lower case"),
        (format!("{server}/team//app"), "each part starts with a letter or digit"),
        (format!("{server}/team/app:"), "tag or digest"),
        ("ghcr.io:99999".to_owned(), "port"),
        ("ftp://ghcr.io/app".to_owned(), "scheme"),
        ("not an image".to_owned(), "neither a name, nor a server, nor an image"),
    ] {
        let checked = Checked::of(&home, &[&text]);
        assert_eq!(checked.failed(), ("declared", "not-understood"), "{text}");
        let detail = detail_of(&checked);
        assert!(detail.starts_with(&text) && detail.contains(why), "{text}: {detail}");
    }
}

#[test]
fn a_password_in_the_argument_is_not_repeated() {
    let home = TestHome::new();
    home.start();
    for typed in [
        "docker://user:hidden@ghcr.io/app",
        "http://user:hidden@ghcr.io/ok/",
        "https://user:hidden@ghcr.io/Team/App",
        "https://hidden@ghcr.io/",
        "user:hidden@ghcr.io/app",
        "user:hid@den@ghcr.io",
        "https://user:hid/den@ghcr.io",
    ] {
        let checked = Checked::of(&home, &[typed]);
        assert_eq!(checked.failed(), ("declared", "not-understood"), "{typed}");
        let detail = detail_of(&checked);
        let ending = "is not a valid server: it contains a user name or password";
        assert!(detail.contains("***@ghcr.io") && detail.ends_with(ending), "{typed}: {detail}");
        let output = format!("{:?}", checked.steps);
        assert!(!output.contains("hid") && !output.contains("den@"), "{typed}: {output}");
    }
    let typed = "https://user:hidden@ghcr.io/";
    for (arguments, shown) in [
        (&["wait", "--timeout", "0s", typed][..], "https://***@ghcr.io/ is not declared"),
        (&["refresh", typed], "https://***@ghcr.io/ is not declared"),
        (&["export", "docker-config", typed], "https://***@ghcr.io/ is not declared"),
        (&["export", typed], "https://***@ghcr.io/"),
        (&["status", typed], "https://***@ghcr.io/"),
        (&["explain", typed], "https://***@ghcr.io/"),
    ] {
        let output = output_text(&home.agent(arguments).output().unwrap());
        assert!(output.contains(shown) && !output.contains("hidden"), "{arguments:?}: {output}");
    }
}

#[test]
fn the_line_with_the_image_in_lower_case_works_as_pasted() {
    let registry = registry();
    let server = registry.server();
    let home = started(&server, PASSWORD);
    let checked = Checked::of(&home, &[&format!("{server}/Team/App:V1")]);
    let line = line_of(&checked);
    assert_eq!(line, format!("registry-agent check {server}/team/app:V1"));
    let mut shell = home.command("sh");
    let checked = Checked::by(shell.args(["-c", &format!("{line} --json")]));
    assert_eq!(checked.failed(), ("image-access", "no-such-image"));
}

#[test]
fn the_forms_of_skopeo_helm_and_browsers_name_the_same_image() {
    let registry = registry();
    let server = registry.server();
    let home = started(&server, PASSWORD);
    for form in ["docker://", "oci://", "http://", ""] {
        let checked = Checked::of(&home, &[&format!("{form}{server}/team/app:1")]);
        assert_eq!(checked.failed(), ("image-access", "no-such-image"), "{form}");
    }
}

#[test]
fn a_variable_means_its_set_and_a_name_before_a_path_means_its_server() {
    let registry = registry();
    let server = registry.server();
    let home = started(&server, PASSWORD);
    for variable in ["ACME_CONTAINER_REGISTRY_SERVER", "ACME_CONTAINER_REGISTRY_PASSWORD"] {
        let checked = Checked::of(&home, &[variable]);
        assert_eq!(checked.status, 0, "{variable}: {:#?}", checked.steps);
        assert!(checked.with("ACME", "passed").contains(&"served"), "{variable}");
    }
    let other = Checked::of(&home, &["OTHER_CONTAINER_REGISTRY_USER"]);
    assert_eq!(other.failed(), ("declared", "name-not-declared"));
    assert!(detail_of(&other).ends_with("has the name OTHER"), "{}", detail_of(&other));
    for name in ["ACME", "acme"] {
        let checked = Checked::of(&home, &[&format!("{name}/team/app:1")]);
        assert_eq!(checked.failed(), ("declared", "not-understood"), "{name}");
        assert_eq!(line_of(&checked), format!("registry-agent check {server}/team/app:1"));
    }
}

#[test]
fn each_form_of_a_name_or_a_server_means_what_a_person_means() {
    let registry = registry();
    let server = registry.server();
    let home = started(&server, PASSWORD);
    for form in [
        "ACME_CONTAINER_REGISTRY",
        "ACME_CONTAINER_REGISTRY_USERNAME",
        "acme_container_registry_server",
        "ACME_CONTAINER_REGISTRY_SERVER=registry.example.com",
        "ACME/",
        &format!("{server}/"),
        &format!("http://{server}/"),
        &format!("HTTP://{server}/v2/"),
    ] {
        let checked = Checked::of(&home, &[form]);
        assert_eq!(checked.status, 0, "{form}: {:#?}", checked.steps);
        assert!(checked.with("ACME", "passed").contains(&"served"), "{form}");
    }
    for form in ["", "http://", "HTTP://"] {
        let checked = Checked::of(&home, &[&format!("{form}{server}/team/app/")]);
        assert_eq!(checked.failed(), ("image-access", "no-such-image"), "{form}");
    }
    let other = Checked::of(&home, &["OTHER_CONTAINER_REGISTRY"]);
    assert!(detail_of(&other).ends_with("has the name OTHER"), "{}", detail_of(&other));
}

#[test]
fn each_form_that_is_nearly_right_leads_to_the_right_one() {
    let registry = registry();
    let server = registry.server();
    let home = started(&server, PASSWORD);
    for (form, meant) in [
        ("ACME:1".to_owned(), "ACME".to_owned()),
        ("acme:latest".to_owned(), "ACME".to_owned()),
        ("ACME/team/app/".to_owned(), format!("{server}/team/app")),
        (format!("http://bob@{server}"), format!("http://{server}")),
        (format!("http://bob:hidden@{server}/team/app"), format!("http://{server}/team/app")),
        (format!("http//{server}"), format!("http://{server}")),
        (format!("htp://{server}"), format!("http://{server}")),
        (format!("'http://{server}'"), format!("http://{server}")),
    ] {
        let checked = Checked::of(&home, &[&form]);
        assert_eq!(checked.failed(), ("declared", "not-understood"), "{form}");
        assert_eq!(line_of(&checked), format!("registry-agent check {meant}"), "{form}");
        assert!(!format!("{:?}", checked.steps).contains("hidden"), "{form}");
    }
}

#[test]
fn a_server_with_the_name_of_its_login_is_that_server() {
    let mut home = TestHome::new();
    home.declare("REGISTRY", "registry:5000", (USER, PASSWORD));
    home.start();
    for form in ["registry:5000", "registry:5000/team/app"] {
        let checked = Checked::of(&home, &[form]);
        assert_ne!(checked.failed(), ("declared", "not-understood"), "{form}");
    }
}

#[test]
fn a_value_that_is_pasted_with_its_variable_is_not_repeated() {
    let home = TestHome::new();
    home.start();
    for variable in ["FOO_CONTAINER_REGISTRY_TOKEN", "FOO_CONTAINER_REGISTRY_PASWORD", "foo_pw"] {
        let output = home.agent(&["check", &format!("{variable}=Hunter2secret")]).output().unwrap();
        let said = output_text(&output);
        assert!(output.status.code() == Some(1) && !said.contains("Hunter2"), "{said}");
    }
}

#[test]
fn a_second_set_for_a_server_is_told_by_sync_and_by_check_of_the_server() {
    let registry = registry();
    let server = registry.server();
    let mut home = TestHome::new();
    home.declare("ACME", &server, (USER, PASSWORD));
    home.declare("WORK", &server, (USER, PASSWORD));
    let sync = home.with_declared(home.agent(&["sync"])).output().unwrap();
    let text = output_text(&sync);
    assert!(sync.status.success() && text.contains("server-declared-twice"), "{text}");
    for what in [&server[..], "ACME"] {
        let checked = Checked::of(&home, &[what]);
        assert_eq!(checked.status, 0, "{what}: {:#?}", checked.steps);
        assert_eq!(checked.remarks("declared"), ["server-declared-twice"], "{what}");
    }
}

#[test]
fn a_query_in_the_argument_is_not_repeated() {
    let home = TestHome::new();
    home.start();
    for arguments in [
        &["check", "https://nexus.example.com/npm/?token=hidden"][..],
        &["wait", "--timeout", "0s", "https://nexus.example.com/?token=hidden"],
        &["explain", "https://nexus.example.com/?token=hidden"],
        &["status", "https://nexus.example.com/?token=hidden"],
    ] {
        let text = output_text(&home.agent(arguments).output().unwrap());
        assert!(text.contains("example.com") && !text.contains("hidden"), "{arguments:?}: {text}");
    }
}

#[test]
fn nothing_at_all_is_wrong_usage() {
    let home = TestHome::new();
    for arguments in [
        &["explain", ""][..],
        &["check", ""],
        &["check", " "],
        &["wait", ""],
        &["refresh", ""],
        &["export", "docker-config", ""],
    ] {
        let output = home.agent(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", output_text(&output));
        assert!(output_text(&output).contains("it is empty"), "{}", output_text(&output));
    }
}

#[test]
fn a_name_or_server_that_is_nearly_right_leads_to_the_right_one() {
    let registry = registry();
    let port = registry.port();
    let home = started(&format!("localhost:{port}"), PASSWORD);
    for (typed, code, meant) in [
        ("AMCE", "name-not-declared", "ACME".to_owned()),
        ("amce", "name-not-declared", "ACME".to_owned()),
        (&format!("locahlost:{port}"), "server-not-declared", format!("localhost:{port}")),
        (
            &format!("localhots.:{port}/app"),
            "server-not-declared",
            format!("localhost:{port}/app:latest"),
        ),
    ] {
        let checked = Checked::of(&home, &[typed]);
        assert_eq!(checked.failed(), ("declared", code), "{typed}");
        assert!(detail_of(&checked).ends_with(&format!("; did you mean {meant}?")), "{typed}");
        assert_eq!(line_of(&checked), format!("registry-agent check {meant}"));
    }
    assert!(!detail_of(&Checked::of(&home, &["OTHER"])).contains("did you mean"));
}

#[test]
fn variables_that_are_set_but_not_exported_are_sent_by_the_printed_line() {
    let registry = registry();
    let home = TestHome::new();
    home.start();
    let line = line_of(&Checked::of(&home, &["ACME"]));
    let script = format!(
        "ACME_CONTAINER_REGISTRY_SERVER={}; ACME_CONTAINER_REGISTRY_USER={USER}; \
         ACME_CONTAINER_REGISTRY_PASSWORD={PASSWORD}; \
         registry-agent sync && registry-agent check ACME && exit 9; {line} && registry-agent check ACME",
        registry.server()
    );
    let mut shell = home.command("sh");
    let output = succeed(shell.args(["-c", &script]));
    assert!(output_text(&output).contains("exported"), "{}", output_text(&output));
}

#[test]
fn names_of_other_programs_for_the_same_values_are_named_with_the_line_that_sends_them() {
    let registry = registry();
    let mut home = TestHome::new();
    home.start();
    home.set("ACME_REGISTRY_SERVER", &registry.server());
    home.set("ACME_REGISTRY_USERNAME", USER);
    home.set("ACME_DOCKER_PASSWORD", PASSWORD);
    let output = home.with_declared(home.agent(&["sync"])).output().unwrap();
    let text = output_text(&output);
    assert!(text.contains("ACME_REGISTRY_SERVER") && !text.contains(PASSWORD), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(home.status()["sources"].to_string().matches("ACME").count(), 0);
    let mut check = home.with_declared(home.agent(&["check", "--json", "ACME"]));
    let checked = Checked::by(&mut check);
    assert_eq!(checked.failed(), ("declared", "variables-misnamed"));
    let mut shell = home.command("sh");
    shell.args(["-c", &format!("{} && registry-agent check ACME", line_of(&checked))]);
    succeed(&mut home.with_declared(shell));
}
