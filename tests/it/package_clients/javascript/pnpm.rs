//! pnpm, which runs the `tokenHelper` of each registry in `~/.npmrc` for every command.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::{JavascriptTest, succeeded};
use crate::package_clients::table;
use crate::support::package_registry::PackageRegistry;
use crate::support::test_home::output_text;

const PNPM: &str = "pnpm/bin/pnpm.cjs";

#[test]
fn private_packages_are_published_and_installed_without_a_password() {
    let mut test = JavascriptTest::new();
    let private = test.package("private", "@private/one");
    succeeded(&pnpm(&test, &private, &["publish", "--no-git-checks"]));
    let app = test.package("app", "app");
    succeeded(&pnpm(&test, &app, &["add", "@private/one"]));
    assert!(app.join("node_modules/@private/one/package.json").exists());

    // pnpm knows no token from one command to the next.
    test.change_password("another one");
    let second = test.package("second", "@private/two");
    succeeded(&pnpm(&test, &second, &["publish", "--no-git-checks"]));
    succeeded(&pnpm(&test, &app, &["add", "@private/two"]));
    assert!(app.join("node_modules/@private/two/package.json").exists());
    let what = "`pnpm publish` and `pnpm add` of private packages";
    let asked = ["npm-credential-registry-agent get URL".to_owned()];
    let version = output_text(&pnpm(&test, &app, &["--version"]));
    table::record("pnpm", version.trim(), what, &asked);
}

#[test]
fn public_packages_are_installed_while_the_login_is_withheld_and_after_stop() {
    let test = JavascriptTest::new();
    let public = test.package("public", "public");
    succeeded(&pnpm(&test, &public, &["publish", "--no-git-checks"]));
    let private = test.package("private", "@private/one");
    succeeded(&pnpm(&test, &private, &["publish", "--no-git-checks"]));

    // A command that read the settings before the login was withheld.
    let settings = fs::read(test.test_home.path(".npmrc")).unwrap();
    test.withhold();
    let app = test.package("app", "app");
    succeeded(&pnpm(&test, &app, &["add", "public"]));
    let output = pnpm(&test, &app, &["add", "@private/one"]);
    assert!(!output.status.success(), "the package is not private");

    test.test_home.exit_of(&["stop"]);
    fs::write(test.test_home.path(".npmrc"), settings).unwrap();
    for arguments in [&["add", "public"][..], &["config", "list"], &["store", "path"]] {
        let app = test.package("stopped", "stopped");
        succeeded(&pnpm(&test, &app, arguments));
    }
    // As in a container without the agent's programs.
    let link = ".local/state/registry-agent/npm/npm-credential-registry-agent";
    fs::remove_file(test.test_home.path(link)).unwrap();
    let app = test.package("gone", "gone");
    succeeded(&pnpm(&test, &app, &["add", "public"]));
}

#[test]
fn no_other_registry_gets_the_login() {
    let test = JavascriptTest::new();
    let other = PackageRegistry::start(&[]);
    let app = test.package("app", "app");
    let settings = format!("registry={}\n", other.url("/"));
    fs::write(app.join(".npmrc"), settings).unwrap();
    let output = pnpm(&test, &app, &["add", "@private/one", "--fetch-retries=0"]);
    assert!(!output.status.success(), "{}", output_text(&output));
    assert!(!other.state().requests.is_empty());
    assert_eq!(other.received(), []);
}

fn pnpm(test: &JavascriptTest, directory: &Path, arguments: &[&str]) -> Output {
    test.node(PNPM, directory).args(arguments).output().unwrap()
}
