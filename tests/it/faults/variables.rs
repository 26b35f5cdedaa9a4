//! Variables that are missing, misspelt, contradictory, or hold more than the value.

use std::fs;

use super::{Fault, PASSWORD, USER, assert_well, home_for, registry, unwrapped};
use crate::support::registry::{Auth, Registry};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json};
use crate::support::test_home::{TestHome, output_text};

const VARIABLES: [&str; 3] = [
    "ACME_CONTAINER_REGISTRY_SERVER",
    "ACME_CONTAINER_REGISTRY_USER",
    "ACME_CONTAINER_REGISTRY_PASSWORD",
];

#[test]
fn each_missing_variable_is_named_and_setting_it_as_told_makes_the_login_work() {
    let registry = registry();
    let server = registry.server();
    for (missing, value) in VARIABLES.into_iter().zip([&*server, USER, PASSWORD]) {
        let mut home = home_for(&registry);
        home.unset(missing);
        home.start();
        let fault = Fault::error(&home, "variable-missing");
        fault.says(&[&format!("{missing} is not set")]).checked(&home, &["ACME"], 1);
        for other in VARIABLES.into_iter().filter(|name| *name != missing) {
            fault.says(&[&format!("{other} from `start`")]);
        }
        home.set(missing, value);
        fault.paste(&home);
        assert_well(&home, &server, (USER, PASSWORD));
    }
}

#[test]
fn a_set_that_cannot_work_is_never_called_undeclared_and_start_names_its_problem() {
    let registry = registry();
    for (variable, value, problem) in [
        (VARIABLES[2], "", "ACME_CONTAINER_REGISTRY_PASSWORD is not set"),
        (VARIABLES[0], "bad server", "ACME_CONTAINER_REGISTRY_SERVER from `start` is not a"),
    ] {
        let mut home = home_for(&registry);
        home.set(variable, value);
        let start = home.with_declared(home.agent(&["start"])).output().unwrap();
        let text = unwrapped(&output_text(&start));
        assert_eq!(start.status.code(), Some(0), "{text}");
        assert!(text.contains(problem) && text.contains("fix: "), "{text}");
        for arguments in [&["status"][..], &["wait"], &["sync"], &["refresh"], &["check"]] {
            let text = unwrapped(&output_text(&home.agent(arguments).output().unwrap()));
            assert!(!text.contains("no registry is declared"), "{arguments:?}: {text}");
            assert!(!text.contains("set and export"), "{arguments:?}: {text}");
        }
    }
}

#[test]
fn a_misspelt_variable_is_named_and_the_printed_line_makes_the_login_work() {
    let registry = registry();
    let server = registry.server();
    for (correct, misspelt) in [
        (VARIABLES[1], "ACME_CONTAINER_REGISTRY_USERNAME"),
        (VARIABLES[0], "ACME_CONTAINER_REGISTRY_SEVER"),
        (VARIABLES[2], "ACME_CONTAINER_REGISTRY_PASSWROD"),
        (VARIABLES[2], "ACME_CONTAINER_REGISTY_PASSWORD"),
        (VARIABLES[0], "ACME_REGISTRY_SERVER"),
        (VARIABLES[0], "ACME_CONTAINER_REGISTRY"),
        (VARIABLES[1], "ACME_DOCKER_REGISTRY_USER"),
        (VARIABLES[2], "ACME_CONTAINER_PASSWORD"),
    ] {
        let mut home = home_for(&registry);
        let value = [(VARIABLES[0], &*server), (VARIABLES[1], USER), (VARIABLES[2], PASSWORD)]
            .into_iter()
            .find_map(|(name, value)| (name == correct).then_some(value));
        home.unset(correct);
        home.set(misspelt, value.unwrap());
        home.with_declared(home.agent(&["sync"])).output().unwrap();
        let fault = Fault::error(&home, "variable-missing");
        fault.says(&[&format!("{correct} is not set, but {misspelt} from `sync` is")]);
        fault.checked(&home, &["ACME"], 1).paste(&home);
        assert_well(&home, &server, (USER, PASSWORD));
    }
}

#[test]
fn a_misspelt_variable_in_a_file_is_renamed_there() {
    let registry = registry();
    let server = registry.server();
    let home = TestHome::new();
    let file = home.path("registries.env");
    let config = home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, format!("sources = [\"{}\"]\n", file.display())).unwrap();
    let [server_name, user, password] = VARIABLES;
    let text = format!("{server_name}={server}\n{user}NAME={USER}\n{password}={PASSWORD}\n");
    fs::write(&file, &text).unwrap();
    home.start();
    let fault = Fault::error(&home, "variable-missing");
    let expected = format!("rename {user}NAME to {user} in {}", file.display());
    assert_eq!(fault.checked(&home, &["ACME"], 1).fix, expected);
    fs::write(&file, text.replace("USERNAME", "USER")).unwrap();
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn a_variable_that_is_missing_in_a_file_is_added_there() {
    let registry = registry();
    let server = registry.server();
    let home = TestHome::new();
    let file = home.path("registries.env");
    let config = home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, format!("sources = [\"{}\"]\n", file.display())).unwrap();
    let [server_name, user, password] = VARIABLES;
    let text = format!("{server_name}={server}\n{password}={PASSWORD}\n");
    fs::write(&file, &text).unwrap();
    home.start();
    let fault = Fault::error(&home, "variable-missing");
    assert_eq!(fault.fix, format!("add {user} to {}", file.display()));
    fs::write(&file, format!("{text}{user}={USER}\n")).unwrap();
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn a_second_spelling_is_a_remark_and_the_printed_line_removes_it() {
    let registry = registry();
    let mut home = home_for(&registry);
    home.set("ACME_CONTAINER_REGISTRY_USERNAME", "other");
    home.sync();
    let fault = Fault::remark(&home, "spelling-ignored");
    fault.says(&["ACME_CONTAINER_REGISTRY_USERNAME from `sync` is ignored", VARIABLES[1]]);
    fault.checked(&home, &["ACME"], 0).paste(&home);
    Fault::is_gone(&home, "spelling-ignored");
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn names_of_other_programs_are_no_mistakes() {
    let registry = registry();
    let server = registry.server();
    let mut home = home_for(&registry);
    for name in ["CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD", "ACME_REGISTRY_SERVER"] {
        home.set(name, "other");
    }
    home.sync();
    assert_well(&home, &server, (USER, PASSWORD));
    assert_eq!(home.status()["problems"].as_array().unwrap().len(), 0, "{:#}", home.status());
}

#[test]
fn a_reference_that_nothing_expanded_is_named_and_never_sent() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = registry();
    let ask = |_: &ReceivedRequest| json(401, &["WWW-Authenticate: Basic realm=\"x\""], "{}");
    let spy = runtime.block_on(ScriptedRegistry::start("127.0.0.1:0", None, ask));
    for (variable, value) in [
        (VARIABLES[0], "${localEnv:ACME_SERVER}"),
        (VARIABLES[0], "$ACME_SERVER"),
        (VARIABLES[1], "${ACME_USER}"),
        (VARIABLES[2], "${localEnv:ACME_PASSWORD:none}"),
        (VARIABLES[2], "$ACME_PASSWORD"),
        (VARIABLES[2], "${{ secrets.ACME_PASSWORD }}"),
    ] {
        let mut home = TestHome::new();
        home.declare("ACME", &spy.address.to_string(), (USER, PASSWORD));
        home.set(variable, value);
        home.start();
        let fault = Fault::error(&home, "value-not-expanded");
        fault.says(&[&format!("{variable} from `start`")]).checked(&home, &["ACME"], 1);
        assert!(!fault.sentence.contains(value) || variable != VARIABLES[2], "{}", fault.sentence);
        assert_eq!(spy.heard().len(), 0, "{value} was sent");
        home.declare_anew("ACME", &registry.server(), (USER, PASSWORD));
        fault.paste(&home);
        assert_well(&home, &registry.server(), (USER, PASSWORD));
    }
}

#[test]
fn a_github_token_that_is_a_reference_is_named_and_never_sent() {
    let mut home = TestHome::new();
    home.set("GITHUB_TOKEN", "${localEnv:GITHUB_TOKEN}");
    let sync = home.with_declared(home.agent(&["sync"])).output().unwrap();
    assert_eq!(sync.status.code(), Some(1), "{}", output_text(&sync));
    assert!(output_text(&sync).contains("GITHUB_TOKEN"), "{}", output_text(&sync));
    // Nobody asked for the automatic login, so `status` does not fail.
    let fault = Fault::remark(&home, "value-not-expanded");
    assert!(fault.sentence.starts_with("GITHUB_TOKEN from `sync`"), "{}", fault.sentence);
    assert_eq!(home.status()["registries"].as_array().unwrap().len(), 0);
}

#[test]
fn a_password_that_only_contains_a_reference_is_a_password() {
    for password in ["pass$WORD", "${a", "$lower", "$5", "a${B}", "$A-B"] {
        let registry = Registry::start(&Auth::Htpasswd(&[(USER, password)]), None);
        let mut home = home_for(&registry);
        home.set(VARIABLES[2], password);
        home.sync();
        assert_well(&home, &registry.server(), (USER, password));
    }
}

#[test]
fn a_password_in_a_file_may_look_like_a_reference() {
    let password = "$PASSWORD";
    let registry = Registry::start(&Auth::Htpasswd(&[(USER, password)]), None);
    let mut home = home_for(&registry);
    fs::write(home.path("password"), password).unwrap();
    home.set("ACME_CONTAINER_REGISTRY_PASSWORD", "");
    home.set("ACME_CONTAINER_REGISTRY_PASSWORD_FILE", home.path("password").to_str().unwrap());
    home.sync();
    assert_well(&home, &registry.server(), (USER, password));
}

#[test]
fn quotation_marks_and_white_space_around_a_password_are_named() {
    let registry = registry();
    let server = registry.server();
    for (code, password) in [
        ("value-quoted", format!("\"{PASSWORD}\"")),
        ("value-quoted", format!("\u{201c}{PASSWORD}\u{201d}")),
        ("value-quoted", format!("\u{2018}{PASSWORD}\u{2019}")),
        ("value-white-space", format!("{PASSWORD} ")),
        ("value-white-space", format!("\t{PASSWORD}")),
    ] {
        let mut home = home_for(&registry);
        home.set(VARIABLES[2], &password);
        home.sync();
        // The registry rejects the password, and the remark says why.
        let fault = Fault::error(&home, code);
        fault.says(&[&format!("{} from `sync`", VARIABLES[2])]).checked(&home, &["ACME"], 1);
        home.set(VARIABLES[2], PASSWORD);
        fault.paste(&home);
        assert_well(&home, &server, (USER, PASSWORD));
    }
}

#[test]
fn a_password_that_really_has_quotation_marks_works_with_a_remark() {
    let password = "'quoted'";
    let registry = Registry::start(&Auth::Htpasswd(&[(USER, password)]), None);
    let mut home = home_for(&registry);
    home.set(VARIABLES[2], password);
    home.sync();
    Fault::remark(&home, "value-quoted").checked(&home, &["ACME"], 0);
    assert_well(&home, &registry.server(), (USER, password));
}

#[test]
fn a_second_set_for_a_server_is_named_and_unsetting_it_leaves_the_first() {
    let registry = registry();
    let server = registry.server();
    let mut home = home_for(&registry);
    home.declare("WORK", &server, ("other", "other-password"));
    home.sync();
    let fault = Fault::remark(&home, "server-declared-twice");
    fault.says(&["WORK_CONTAINER_REGISTRY_SERVER from `sync`", VARIABLES[0], &server]);
    fault.checked(&home, &[], 0).paste(&home);
    Fault::is_gone(&home, "server-declared-twice");
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn a_second_set_that_is_kept_from_its_server_by_a_rejected_one_works_after_the_printed_line() {
    let registry = registry();
    let server = registry.server();
    let mut home = home_for(&registry);
    home.declare("AAA", &server, ("other", "other-password"));
    home.sync();
    home.exit_of(&["wait"]);
    let fault = Fault::error(&home, "server-declared-twice");
    fault.says(&["but its login does not work"]);
    let first = "run `unset AAA_CONTAINER_REGISTRY_SERVER AAA_CONTAINER_REGISTRY_USER \
                 AAA_CONTAINER_REGISTRY_PASSWORD && registry-agent sync`";
    assert!(fault.fix.starts_with(first), "{}", fault.fix);
    assert!(fault.fix.contains("; to use AAA instead, run `unset ACME_"), "{}", fault.fix);
    fault.paste(&home);
    Fault::is_gone(&home, "server-declared-twice");
    for field in ["SERVER", "USER", "PASSWORD"] {
        home.unset(&format!("AAA_CONTAINER_REGISTRY_{field}"));
    }
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn either_of_two_sets_for_a_server_can_be_kept_with_all_its_variables() {
    let registry = registry();
    let server = registry.server();
    let mut home = home_for(&registry);
    home.set("WORK_CONTAINER_REGISTRY_SERVER", &server);
    home.set("WORK_CONTAINER_REGISTRY_USER", USER);
    fs::write(home.path("password"), PASSWORD).unwrap();
    let file = home.path("password");
    home.set("WORK_CONTAINER_REGISTRY_PASSWORD_FILE", file.to_str().unwrap());
    home.sync();
    let fault = Fault::remark(&home, "server-declared-twice");
    fault.paste_last(&home);
    Fault::is_gone(&home, "server-declared-twice");
    assert_eq!(home.login(&server)["name"], "WORK");
    home.sync();
    Fault::remark(&home, "server-declared-twice").paste(&home);
    assert_eq!(home.login(&server)["name"], "ACME");
    assert!(home.status()["problems"].as_array().unwrap().is_empty(), "{:#}", home.status());
}
