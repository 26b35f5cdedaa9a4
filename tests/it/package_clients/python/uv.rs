//! uv, which asks `keyring` if the URL of an index has a user, or the index always has a login.

use std::fs;
use std::process::{Command, Output};

use super::PythonTest;
use crate::support::engine::target;
use crate::support::pypi_server::python;
use crate::support::test_home::{output_text, succeed};

#[test]
fn a_private_package_is_installed_with_a_user_in_the_url_or_a_login_for_the_index() {
    let test = PythonTest::new();
    let url = test.private.url("/simple/").replace("//", "//reader@");
    let output = install(&test, "with", &url, "acme_private");
    assert!(output.status.success(), "{}", output_text(&output));
    assert!(test.installed("with", "acme_private").is_some());

    let project = format!(
        "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3\"\n\
         dependencies = [\"acme_private\", \"acme_public\"]\n\
         [[tool.uv.index]]\nurl = \"{}\"\nauthenticate = \"always\"\n\
         [[tool.uv.index]]\nurl = \"{}\"\ndefault = true\n",
        test.private.url("/simple/"),
        test.public.url("/simple/"),
    );
    fs::create_dir(test.test_home.path("app")).unwrap();
    fs::write(test.test_home.path("app/pyproject.toml"), project).unwrap();
    let mut sync = uv(&test, &["sync", "--project", "app"]);
    sync.arg("--python").arg(python());
    succeed(&mut sync);
    let lock = fs::read_to_string(test.test_home.path("app/uv.lock")).unwrap();
    assert!(lock.contains("acme-private"), "{lock}");
    assert!(!lock.contains("reader"), "{lock}");
    let what = "`uv pip install` of a private package, `uv sync` with a private index";
    test.record("uv", &mut uv(&test, &["--version"]), 2, what);
}

#[test]
fn public_packages_are_installed_while_the_login_is_withheld_and_after_stop() {
    let test = PythonTest::new();
    test.withhold();
    for (directory, url) in [
        ("plain", test.public.url("/simple/")),
        ("user", test.public.url("/simple/").replace("//", "//somebody@")),
    ] {
        let output = install(&test, directory, &url, "acme_public");
        assert!(output.status.success(), "{}", output_text(&output));
    }
    test.test_home.exit_of(&["stop"]);
    let output = install(&test, "stopped", &test.public.url("/simple/"), "acme_public");
    assert!(output.status.success(), "{}", output_text(&output));
    assert!(test.installed("stopped", "acme_public").is_some());
}

fn install(test: &PythonTest, directory: &str, index: &str, package: &str) -> Output {
    let mut command = uv(test, &["pip", "install", "--target", directory]);
    command.args(["--default-index", index, package]).arg("--python").arg(python());
    command.output().unwrap()
}

fn uv(test: &PythonTest, arguments: &[&str]) -> Command {
    let mut command = test.command(target().join("venv/bin/uv"));
    command.args(arguments).args(["--no-cache", "--no-python-downloads"]);
    command
}
