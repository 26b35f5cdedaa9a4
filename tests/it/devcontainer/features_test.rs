//! The tests in `tests/feature`, as whoever publishes Features runs them.

use std::path::Path;
use std::process::Command;

use crate::support::engine::{DEBIAN, Engine, devcontainer_cli};
use crate::support::test_home::{output_text, succeed};

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn the_feature_passes_the_tests_it_is_packed_with() {
    let _engine = Engine::take();
    let directory = tempfile::tempdir().unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist");
    let output = succeed(
        Command::new("timeout")
            .args(["--kill-after=5", "300"])
            .arg(devcontainer_cli())
            .args(["features", "test", "--features", "registry-agent", "--remote-user", "dev"])
            .args(["--base-image", DEBIAN, "--project-folder"])
            .arg(project)
            .env("TMPDIR", directory.path())
            .env("HOME", directory.path()),
    );
    // The CLI skips what it does not find.
    let report = output_text(&output);
    for test in ["root", "container_user", "auths", "executed twice"] {
        let passed = |line: &str| line.contains("Passed") && line.contains(test);
        assert!(report.lines().any(passed), "{test} did not run: {report}");
    }
}
