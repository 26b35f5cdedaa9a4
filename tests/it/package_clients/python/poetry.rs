//! poetry, which asks the keyring of Python for the URL of a source or a repository.

use std::fs;
use std::process::Command;

use super::PythonTest;
use crate::support::pypi_server::{PypiServer, write_wheel};
use crate::support::test_home::{output_text, succeed};

#[test]
fn a_private_package_is_installed_and_published_without_a_password() {
    let test = PythonTest::new();
    project(&test, &test.private, "acme_private");
    let output = poetry(&test, &["lock"]).output().unwrap();
    assert!(output.status.success(), "{}", output_text(&output));
    succeed(&mut poetry(&test, &["install", "--no-root"]));
    let venv = test.test_home.path("app/.venv/bin/python");
    succeed(test.command(venv).args(["-c", "import acme_private"]));

    succeed(&mut poetry(
        &test,
        &["config", "--local", "repositories.acme", &test.private.url("/")],
    ));
    publish(&test);
    assert!(test.private.packages().join("app-1.0-py3-none-any.whl").exists());
    let what = "`poetry install` with a private source, `poetry publish`";
    test.record("poetry", &mut test.module("poetry", &["--version"]), 3, what);
}

#[test]
fn public_packages_are_installed_while_the_login_is_withheld_and_after_stop() {
    let test = PythonTest::new();
    test.withhold();
    project(&test, &test.public, "acme_public");
    succeed(&mut poetry(&test, &["lock"]));
    succeed(&mut poetry(&test, &["install", "--no-root"]));
    test.test_home.exit_of(&["stop"]);
    fs::remove_file(test.test_home.path("app/poetry.lock")).unwrap();
    succeed(&mut poetry(&test, &["lock", "--no-cache"]));
}

#[test]
fn a_password_that_poetry_should_store_is_refused_with_what_to_do() {
    let test = PythonTest::new();
    let output =
        poetry(&test, &["config", "http-basic.acme", "me", "secret-word"]).output().unwrap();
    assert!(!output.status.success(), "{}", output_text(&output));
    let said = output_text(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("poetry config keyring.enabled false"), "{said}");
    assert!(!said.contains("secret-word"), "{said}");
    succeed(&mut poetry(&test, &["config", "keyring.enabled", "false"]));
    succeed(&mut poetry(&test, &["config", "http-basic.acme", "me", "secret-word"]));
}

/// A project in `app` whose only source is the index.
fn project(test: &PythonTest, index: &PypiServer, package: &str) {
    let project = format!(
        "[project]\nname = \"app\"\nversion = \"1.0\"\nrequires-python = \">=3.8\"\n\
         description = \"\"\nauthors = [{{name = \"a\"}}]\ndependencies = [\"{package}\"]\n\
         [tool.poetry]\npackages = [{{include = \"app.py\"}}]\n\
         [[tool.poetry.source]]\nname = \"index\"\nurl = \"{}\"\n\
         [build-system]\nrequires = [\"poetry-core\"]\nbuild-backend = \"poetry.core.masonry.api\"\n",
        index.url("/simple/")
    );
    fs::create_dir_all(test.test_home.path("app")).unwrap();
    fs::write(test.test_home.path("app/pyproject.toml"), project).unwrap();
    fs::write(test.test_home.path("app/app.py"), "").unwrap();
}

/// Builds nothing: poetry would install its build backend from the public index.
fn publish(test: &PythonTest) {
    let dist = test.test_home.path("app/dist");
    fs::create_dir_all(&dist).unwrap();
    write_wheel(&dist, "app", "1.0");
    succeed(&mut poetry(test, &["publish", "--repository", "acme"]));
}

fn poetry(test: &PythonTest, arguments: &[&str]) -> Command {
    fs::create_dir_all(test.test_home.path("app")).unwrap();
    let mut command = test.module("poetry", arguments);
    command
        .args(["--no-interaction", "--directory", "app"])
        .env("POETRY_CACHE_DIR", test.test_home.path("cache"))
        .env("POETRY_VIRTUALENVS_IN_PROJECT", "true");
    command
}
