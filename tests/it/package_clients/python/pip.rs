//! pip, which asks `keyring` after a 401.

use std::process::{Command, Output};

use super::PythonTest;
use crate::support::processes::wait_until;
use crate::support::test_home::output_text;

#[test]
fn a_private_package_is_installed_without_a_password() {
    let test = PythonTest::new();
    let output = install(&test, "with", &[&test.private.url("/simple/")], "acme_private");
    assert!(output.status.success(), "{}", output_text(&output));
    assert!(test.installed("with", "acme_private").is_some());
    let mut version = test.module("pip", &["--version"]);
    test.record("pip", &mut version, 2, "`pip install` of a private package");
    let user = test.private.url("/simple/").replace("//", "//reader@");
    let output = install(&test, "user", &[&user], "acme_private");
    assert!(output.status.success(), "{}", output_text(&output));

    test.test_home.exit_of(&["stop"]);
    let output = install(&test, "without", &[&test.private.url("/simple/")], "acme_private");
    assert!(!output.status.success(), "the package is not private");
}

#[test]
fn an_installation_goes_on_over_a_password_that_changes() {
    let mut test = PythonTest::new();
    test.private.add("acme_second", "1.0");
    test.private.hold("/simple/acme-second/");
    let url = test.private.url("/simple/");
    let mut pip = pip(&test, "changed", &[&url], &["acme_private", "acme_second"]);
    let pip = std::thread::spawn(move || pip.output().unwrap());
    wait_until("pip asks for no second package", || test.private.is_holding());
    test.private.set_login(("reader", "renewed"));
    test.test_home.set("ACME_PACKAGE_REGISTRY_PASSWORD", "renewed");
    test.test_home.sync();
    assert_eq!(test.test_home.login("ACME")["state"], "ready");
    test.private.release();
    let output = pip.join().unwrap();
    assert!(output.status.success(), "{}", output_text(&output));
    for module in ["acme_private", "acme_second"] {
        assert!(test.installed("changed", module).is_some(), "{module}");
    }
}

#[test]
fn an_index_url_of_another_user_gets_no_login() {
    let test = PythonTest::new();
    let other = test.private.url("/simple/").replace("//", "//other@");
    let output = install(&test, "other", &[&other], "acme_private");
    assert!(!output.status.success(), "{}", output_text(&output));
    assert!(
        !test.private.requests().iter().any(|line| line.starts_with("reader GET /simple/acme"))
    );
}

#[test]
fn public_packages_are_installed_while_the_login_is_withheld_and_after_stop() {
    let test = PythonTest::new();
    let (public, private) = (test.public.url("/simple/"), test.private.url("/simple/"));
    test.withhold();
    for (name, indexes) in [("alone", &[&*public][..]), ("both", &[&*public, &*private])] {
        let output = install(&test, name, indexes, "acme_public");
        assert!(output.status.success(), "{}", output_text(&output));
    }
    test.test_home.exit_of(&["stop"]);
    for (name, indexes) in [("stopped", &[&*public][..]), ("stopped-both", &[&*public, &*private])]
    {
        let output = install(&test, name, indexes, "acme_public");
        assert!(output.status.success(), "{}", output_text(&output));
        assert!(test.installed(name, "acme_public").is_some());
    }
}

/// Installs from the first index, with the others as extra ones.
fn install(test: &PythonTest, directory: &str, indexes: &[&str], package: &str) -> Output {
    pip(test, directory, indexes, &[package]).output().unwrap()
}

fn pip(test: &PythonTest, directory: &str, indexes: &[&str], packages: &[&str]) -> Command {
    let mut command = test
        .module("pip", &["install", "--no-input", "--no-cache-dir", "--disable-pip-version-check"]);
    command.args(["--target", directory, "--index-url", indexes[0]]);
    for index in &indexes[1..] {
        command.args(["--extra-index-url", index]);
    }
    command.args(packages);
    command
}
