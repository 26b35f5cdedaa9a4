//! twine, which asks the keyring of Python for user and password of a repository.

use std::fs;
use std::process::Output;

use super::PythonTest;
use crate::support::pypi_server::write_wheel;
use crate::support::test_home::output_text;

#[test]
fn a_package_is_published_without_a_password_but_not_while_the_login_is_withheld() {
    let test = PythonTest::new();
    let output = upload(&test, "1.0");
    assert!(output.status.success(), "{}", output_text(&output));
    assert!(test.private.packages().join("app-1.0-py3-none-any.whl").exists());
    test.record("twine", &mut test.module("twine", &["--version"]), 3, "`twine upload`");

    test.withhold();
    let output = upload(&test, "2.0");
    assert!(!output.status.success(), "{}", output_text(&output));
    assert!(output_text(&output).contains("registry-agent check ACME"), "{}", output_text(&output));
    assert!(!test.private.packages().join("app-2.0-py3-none-any.whl").exists());
}

fn upload(test: &PythonTest, version: &str) -> Output {
    fs::create_dir_all(test.test_home.path("dist")).unwrap();
    write_wheel(&test.test_home.path("dist"), "app", version);
    let wheel = format!("dist/app-{version}-py3-none-any.whl");
    let mut upload = test.module("twine", &["upload", "--non-interactive", &wheel]);
    upload.args(["--disable-progress-bar", "--repository-url", &test.private.url("/")]);
    upload.output().unwrap()
}
