//! yarn 4, which asks its plugins for the login of a registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::{JavascriptTest, LOGIN, succeeded};
use crate::package_clients::{feature_variable, recorded_helper, table};
use crate::support::package_registry::PackageRegistry;
use crate::support::test_home::output_text;

const YARN: &str = "@yarnpkg/cli-dist/bin/yarn.js";

#[test]
fn private_packages_are_published_and_installed_without_a_password() {
    let mut test = JavascriptTest::new();
    let private = project(&test, "private", "@private/one", "");
    succeeded(&publish(&test, &private));
    let app = project(&test, "app", "app", "npmAlwaysAuth: true");
    succeeded(&yarn(&test, &app, &["add", "@private/one"]));

    test.change_password("another one");
    let second = project(&test, "second", "@private/two", "");
    succeeded(&publish(&test, &second));
    succeeded(&yarn(&test, &app, &["add", "@private/two"]));
    assert!(app.join("node_modules/@private/two/package.json").exists());
    let what = "`yarn npm publish` and `yarn add` of private packages";
    let version = output_text(&yarn(&test, &app, &["--version"]));
    table::record("yarn", version.trim(), what, &test.test_home.asked());
}

#[test]
fn public_packages_are_installed_while_the_login_is_withheld_and_after_stop() {
    let test = JavascriptTest::new();
    let public = project(&test, "public", "public", "");
    succeeded(&publish(&test, &public));
    test.withhold();
    let app = project(&test, "app", "app", "");
    succeeded(&yarn(&test, &app, &["add", "public"]));
    test.test_home.exit_of(&["stop"]);
    let app = project(&test, "stopped", "stopped", "");
    succeeded(&yarn(&test, &app, &["add", "public"]));
}

#[test]
fn a_login_that_the_user_chose_is_sent_instead_of_the_agents() {
    let test = JavascriptTest::new();
    let settings = [
        "npmAuthToken: own".to_owned(),
        format!("npmRegistries: {{\"{}\": {{npmAuthToken: own}}}}", test.registry.url()),
        "npmScopes: {private: {npmAuthToken: own}}".to_owned(),
    ];
    for (number, settings) in settings.iter().enumerate() {
        let directory = format!("own{number}");
        let own =
            project(&test, &directory, "@private/own", &format!("npmAlwaysAuth: true\n{settings}"));
        let output = publish(&test, &own);
        assert!(!output.status.success(), "{settings}: {}", output_text(&output));
    }
    let requests = test.registry.requests();
    assert_eq!(requests.iter().filter(|line| line.contains(" PUT ")).count(), 3, "{requests:?}");
    assert!(
        !requests.iter().any(|line| line.starts_with(LOGIN.0) && line.contains("own")),
        "{requests:?}"
    );
}

#[test]
fn no_other_registry_gets_the_login() {
    let test = JavascriptTest::new();
    let other = PackageRegistry::start(&[]);
    let app = project(&test, "app", "app", "npmAlwaysAuth: true");
    let settings = fs::read_to_string(app.join(".yarnrc.yml")).unwrap();
    let settings = settings.replace(&test.registry.url(), &other.url("/"));
    fs::write(app.join(".yarnrc.yml"), settings).unwrap();
    let output = yarn(&test, &app, &["add", "@private/one"]);
    assert!(!output.status.success(), "{}", output_text(&output));
    assert_eq!(other.received(), []);
}

/// A package whose registry is the private one.
fn project(test: &JavascriptTest, directory: &str, name: &str, settings: &str) -> PathBuf {
    let directory = test.package(directory, name);
    let yarnrc = format!(
        "npmRegistryServer: {}\nunsafeHttpWhitelist: [127.0.0.1]\nnodeLinker: node-modules\n\
         npmMinimalAgeGate: 0\nenableTelemetry: false\nenableGlobalCache: false\nhttpRetry: 0\n{settings}\n",
        test.registry.url()
    );
    fs::write(directory.join(".yarnrc.yml"), yarnrc).unwrap();
    fs::write(directory.join("yarn.lock"), "").unwrap();
    directory
}

/// yarn wants to know the package first, and asks no registry for that.
fn publish(test: &JavascriptTest, directory: &Path) -> Output {
    succeeded(&yarn(test, directory, &["install"]));
    yarn(test, directory, &["npm", "publish"])
}

/// As the Feature installs it: the plug-in beside the directory of the helper's names.
fn yarn(test: &JavascriptTest, directory: &Path, arguments: &[&str]) -> Output {
    let installed = test.test_home.path("lib");
    fs::create_dir_all(installed.join("bin")).unwrap();
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/registry-agent/yarn-plugin.cjs");
    fs::copy(source, installed.join("yarn-plugin.cjs")).unwrap();
    // The link is there since the first call.
    let helper = recorded_helper(&test.test_home, "npm-credential-registry-agent");
    let _ = symlink(helper, installed.join("bin/npm-credential-registry-agent"));
    let mut command = test.node(YARN, directory);
    let plugins = feature_variable(&test.test_home, "YARN_PLUGINS");
    let plugins =
        plugins.replace("/usr/local/lib/registry-agent", &installed.display().to_string());
    command.env("YARN_PLUGINS", plugins);
    command.env("YARN_ENABLE_IMMUTABLE_INSTALLS", "false").args(arguments).output().unwrap()
}
