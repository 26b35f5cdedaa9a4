//! Checks that ARCHITECTURE.md names only existing files, functions and tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn document() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The section whose heading begins with `heading`, up to the next heading of the same level.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let start = document.find(&format!("\n## {heading}")).unwrap_or_else(|| panic!("{heading}"));
    let body = &document[start + 1..];
    body[3..].find("\n## ").map_or(body, |end| &body[..end + 3])
}

/// The rows of the tables in a section, as lists of cells.
fn rows(section: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    section.lines().filter(|line| line.starts_with('|')).map(cells).collect()
}

/// The texts in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
    files
}

/// The first sentence of a file's documentation.
fn first_sentence(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().take_while(|line| line.starts_with("//!"));
    let words: Vec<&str> = lines.map(|line| line.trim_start_matches("//!").trim()).collect();
    let paragraph = words.split(|line| line.is_empty()).next().unwrap_or_default().join(" ");
    let end = paragraph.find(". ").unwrap_or(paragraph.len());
    paragraph[..end].trim_end_matches('.').to_owned()
}

#[test]
fn the_code_map_lists_every_file_with_its_first_sentence() {
    let document = document();
    let map = section(&document, "Code map");
    let mut wrong = Vec::new();
    for layer in ["domain", "wire", "adapters", "agent", "cli", "helper"] {
        let dir = root().join("src").join(layer);
        let start = map.find(&format!("### `src/{layer}`")).unwrap_or_else(|| panic!("{layer}"));
        let part = &map[start..];
        let part = part[4..].find("\n### ").map_or(part, |end| &part[..end + 4]);
        let listed: BTreeSet<(String, String)> = rows(part)
            .into_iter()
            .filter_map(|cells| Some((quoted(cells.first()?).pop()?, cells.get(1)?.clone())))
            .collect();
        let expected: BTreeSet<(String, String)> = rust_files(&dir)
            .into_iter()
            .filter(|file| *file != dir.join("mod.rs"))
            .map(|file| {
                let name = file.strip_prefix(&dir).unwrap().display().to_string();
                (name, first_sentence(&file))
            })
            .collect();
        let row = |(file, text): &(String, String)| format!("| `{file}` | {text} |");
        wrong.extend(listed.difference(&expected).map(|it| format!("remove {}", row(it))));
        wrong.extend(expected.difference(&listed).map(|it| format!("add {}", row(it))));
    }
    assert!(wrong.is_empty(), "in the code map of ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

#[test]
fn the_walks_name_functions_that_exist() {
    let document = document();
    let walks = section(&document, "Two walks");
    let steps: Vec<Vec<String>> = rows(walks)
        .into_iter()
        .map(|cells| quoted(cells.last().map_or("", String::as_str)))
        .filter(|names| names.len() == 2)
        .collect();
    assert!(steps.len() > 20, "the tables were not found");
    for step in steps {
        let text = fs::read_to_string(root().join("src").join(&step[0]))
            .unwrap_or_else(|error| panic!("{}: {error}", step[0]));
        let definition = format!("fn {}", step[1]);
        let defined = text
            .match_indices(&definition)
            .any(|(at, _)| text[at + definition.len()..].starts_with(['(', '<']));
        assert!(defined, "{} has no function {}", step[0], step[1]);
    }
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let document = document();
    let tests: String = rust_files(&root().join("tests/it"))
        .into_iter()
        .chain(rust_files(&root().join("src")))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let rows = rows(section(&document, "Invariants"));
    let held = rows.iter().flat_map(|cells| quoted(cells.last().map_or("", String::as_str)));
    let mut count = 0;
    for name in held.filter(|name| name.contains("::")) {
        count += 1;
        let function = name.rsplit("::").next().unwrap_or_default();
        assert!(tests.contains(&format!("fn {function}(")), "there is no test {name}");
    }
    assert!(count > 50, "the tables were not found");
}

#[test]
fn which_file_to_change_names_files_that_exist() {
    let document = document();
    for cells in rows(section(&document, "Which file to change")) {
        for name in quoted(cells.last().map_or("", String::as_str)) {
            let is_path = name.contains('/') || Path::new(&name).extension().is_some();
            let exists = root().join("src").join(&name).exists() || root().join(&name).exists();
            assert!(!is_path || exists, "there is no {name}");
        }
    }
}
