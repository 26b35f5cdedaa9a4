//! The helpers of package clients: each client for real where one can be had, the others by transcripts
//! of their protocols.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::test_home::{TestHome, output_text, run_with_input};

mod bazel;
mod cargo;
mod faults;
mod git;
mod go;
mod hostile;
mod javascript;
mod nuget;
mod python;
pub(crate) mod table;
mod terraform;

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

/// The same on `PATH`; [`TestHome::asked`] returns its arguments.
fn recorded_helper(test_home: &TestHome, name: &str) -> PathBuf {
    let (helper, record) = (helper(test_home, name), test_home.path("asked"));
    let script = test_home.path("bin").join(name);
    let text = format!(
        "#!/bin/sh\necho \"{name} $*\" >> '{}'\nexec '{}' \"$@\"\n",
        record.display(),
        helper.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// Runs the helper as a client does.
fn ask(test_home: &TestHome, name: &str, arguments: &[&str], input: &str) -> Output {
    run_with_input(test_home.command(helper(test_home, name)).args(arguments), input)
}

/// What the Feature sets a variable to where nothing else has set it. The installed programs are those of
/// this home.
fn feature_variable(test_home: &TestHome, name: &str) -> String {
    let feature = Path::new(env!("CARGO_MANIFEST_DIR")).join("devcontainer-feature.json");
    let feature: Value = serde_json::from_str(&fs::read_to_string(feature).unwrap()).unwrap();
    let value = feature["containerEnv"][name].as_str().unwrap().to_owned();
    let bin = test_home.path("bin").display().to_string();
    // Builders expand it as a Dockerfile's.
    let mut expand = Command::new("sh");
    expand.args(["-c", &format!("printf %s \"{value}\"")]).env_remove(name);
    let expanded = output_text(&expand.output().unwrap());
    expanded.replace("/usr/local/bin", &bin)
}

/// Writes the file of a project.
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
