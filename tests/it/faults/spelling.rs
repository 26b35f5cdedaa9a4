//! Sets of variables of which no name is right, or whose halves have two names.

use super::{Fault, PASSWORD, USER, assert_well, registry, unwrapped};
use crate::support::test_home::{TestHome, output_text, succeed};

const FIELDS: [&str; 3] = ["SERVER", "USER", "PASSWORD"];

/// What a command says in a shell with the declared variables, and its exit status.
fn said(home: &TestHome, arguments: &[&str]) -> (i32, String) {
    let output = home.with_declared(home.agent(arguments)).output().unwrap();
    (output.status.code().unwrap(), unwrapped(&output_text(&output)))
}

/// Pastes the command of a fix into a shell with the declared variables.
fn paste(home: &TestHome, fix: &str) -> bool {
    let mut shell = home.command("sh");
    shell.args(["-c", fix.split('`').nth(1).unwrap()]);
    home.with_declared(shell).output().unwrap().status.success()
}

#[test]
fn each_command_says_the_same_of_a_set_without_a_right_name_and_the_line_works() {
    let registry = registry();
    let server = registry.server();
    for names in [
        FIELDS.map(|field| format!("acme_container_registry_{}", field.to_lowercase())),
        ["URL", "USERNAME", "TOKEN"].map(|suffix| format!("ACME_CONTAINER_REGISTRY_{suffix}")),
        FIELDS.map(|field| format!("ACME_REGISTRY_{field}")),
    ] {
        let mut home = TestHome::new();
        home.start();
        for (name, value) in names.iter().zip([&*server, USER, PASSWORD]) {
            home.set(name, value);
        }
        let [one, two, three] = &names;
        let read = FIELDS.map(|field| format!("ACME_CONTAINER_REGISTRY_{field}"));
        let sentence = format!(
            "{one}, {two} and {three} are set, but the agent reads {}, {} and {}",
            read[0], read[1], read[2]
        );
        for (command, status) in
            [("check", 1), ("status", 3), ("sync", 1), ("check", 1), ("status", 3)]
        {
            let (code, text) = said(&home, &[command]);
            assert_eq!(code, status, "{command}: {text}");
            assert!(text.contains(&sentence), "{command}: {sentence}\nis not in\n{text}");
            assert!(
                !text.contains(PASSWORD) && !text.contains("no registry is declared"),
                "{text}"
            );
            let fix = text.split("fix: ").nth(1).unwrap();
            assert!(fix.starts_with("run `export "), "{text}");
        }
        let (_, text) = said(&home, &["check", "ACME"]);
        assert!(text.contains(&sentence), "{text}");
        assert!(paste(&home, text.split("fix: ").nth(1).unwrap()), "{text}");
        assert_well(&home, &server, (USER, PASSWORD));
    }
}

#[test]
fn a_misspelt_set_removes_no_login_of_an_earlier_sync() {
    let registry = registry();
    let mut home = TestHome::new();
    home.declare("OTHER", &registry.server(), (USER, PASSWORD));
    home.sync();
    for (field, value) in FIELDS.into_iter().zip(["acme.example.com", USER, PASSWORD]) {
        home.unset(&format!("OTHER_CONTAINER_REGISTRY_{field}"));
        home.set(&format!("acme_container_registry_{}", field.to_lowercase()), value);
    }
    for command in ["sync", "check"] {
        let (code, text) = said(&home, &[command]);
        assert!(code == 1 && text.contains("acme_container_registry_server, "), "{text}");
    }
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn a_package_registry_under_another_programs_names_leads_to_the_variables_of_packages() {
    let mut home = TestHome::new();
    home.start();
    home.set("NPM_REGISTRY_SERVER", "https://nexus.example.com/repository/npm/");
    home.set("NPM_REGISTRY_TOKEN", "hidden-token");
    let (code, text) = said(&home, &["check"]);
    let sentence = "NPM_REGISTRY_SERVER and NPM_REGISTRY_TOKEN are set, but the agent reads \
                    NPM_PACKAGE_REGISTRY_SERVER and NPM_PACKAGE_REGISTRY_PASSWORD";
    assert!(code == 1 && text.contains(sentence), "{text}");
    assert!(!text.contains("hidden-token"), "{text}");
}

#[test]
fn a_set_of_several_names_works_after_the_printed_line() {
    let registry = registry();
    for (names, renamed) in [
        (["ACME_C_SERVER", "ACNE_C_USER", "ACNE_C_PASSWORD"], "ACME_C_SERVER from `sync` is"),
        (["ACME_C_SERVER", "ACME_C_USER", "ACNE_C_PASSWORD"], "ACNE_C_PASSWORD from `sync` is"),
        (
            ["ACMF_C_SERVER", "ACME_C_USER", "ACNE_C_PASSWORD"],
            "ACMF_C_SERVER from `sync` and ACNE_C_PASSWORD from `sync` are",
        ),
        (["ACME_P_SERVER", "ACME_C_USER", "ACME_C_PASSWORD"], "ACME_P_SERVER from `sync` is"),
    ] {
        let whole = |short: &str| {
            short.replace("_C_", "_CONTAINER_REGISTRY_").replace("_P_", "_PACKAGE_REGISTRY_")
        };
        let mut home = TestHome::new();
        for (name, value) in names.into_iter().zip([&*registry.server(), USER, PASSWORD]) {
            home.set(&whole(name), value);
        }
        home.sync_in_vain();
        let fault = Fault::error(&home, "set-split");
        fault.says(&[&format!("{} named differently", whole(renamed))]);
        assert_eq!(home.status()["problems"].as_array().unwrap().len(), 1, "{names:?}");
        for name in names {
            let (code, text) = said(&home, &["check", name.split('_').next().unwrap()]);
            assert!(code == 1 && text.contains("named differently"), "{name}: {text}");
        }
        fault.paste(&home);
        assert_well(&home, &registry.server(), (USER, PASSWORD));
        succeed(&mut home.agent(&["check"]));
    }
}

#[test]
fn a_push_that_splits_a_set_keeps_its_login_and_says_what_to_rename() {
    let registry = registry();
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (USER, PASSWORD));
    home.sync();
    for (field, value) in [("USER", USER), ("PASSWORD", PASSWORD)] {
        home.unset(&format!("ACME_CONTAINER_REGISTRY_{field}"));
        home.set(&format!("ACNE_CONTAINER_REGISTRY_{field}"), value);
    }
    let (code, text) = said(&home, &["sync"]);
    assert!(code == 1 && text.contains("rename ACNE_CONTAINER_REGISTRY_USER to ACME_"), "{text}");
    assert!(!text.contains("ACNE_CONTAINER_REGISTRY_SERVER"), "{text}");
    assert!(home.problems("ACNE").is_empty(), "{:?}", home.problems("ACNE"));
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}
