//! The helpers of package clients.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::test_home::TestHome;

mod bazel;
mod python;

const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");

/// The helper by the name under which a client runs it.
fn helper(test_home: &TestHome, name: &str) -> PathBuf {
    let directory = test_home.path("helpers");
    fs::create_dir_all(&directory).unwrap();
    let link = directory.join(name);
    if !link.exists() {
        symlink(HELPER, &link).unwrap();
    }
    link
}
