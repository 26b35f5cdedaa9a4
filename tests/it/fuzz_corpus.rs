//! Replays the inputs of the fuzz targets: those in `fuzz/corpus` were written by hand, or found by
//! `make fuzz`.

use std::env;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

use crate::support::test_home::{TestHome, output_text};

#[path = "../../fuzz/properties.rs"]
mod properties;

#[test]
fn every_target_has_a_program_and_inputs() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (name, _) in properties::PROPERTIES {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).exists(), "{name}");
        assert!(inputs(name).len() >= 5, "{name}");
    }
}

#[test]
fn no_known_input_breaks_a_property() {
    for (name, property) in properties::PROPERTIES {
        if name != "helper_input" {
            replay(name, property);
        }
    }
}

/// The helper reads its environment, so this runs in a process with one that was stopped.
#[test]
fn no_known_input_breaks_a_helper() {
    let test_home = TestHome::new();
    test_home.exit_of(&["stop"]);
    let this = env::current_exe().unwrap();
    let inner = ["--exact", "fuzz_corpus::inner_helper_inputs", "--ignored", "--nocapture"];
    let output = test_home.command(this).args(inner).output().unwrap();
    let text = output_text(&output);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by `no_known_input_breaks_a_helper`"]
fn inner_helper_inputs() {
    replay("helper_input", properties::helper_input);
}

fn replay(name: &str, property: properties::Property) {
    for path in inputs(name) {
        let input = fs::read(&path).unwrap();
        let holds = panic::catch_unwind(|| property(&input)).is_ok();
        assert!(holds, "{} breaks the property `{name}`", path.display());
    }
}

fn inputs(name: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{name}: {error}"));
    entries.map(|entry| entry.unwrap().path()).collect()
}
