//! Checks that ARCHITECTURE.md names only existing files, functions and tests, and that every dependency has a
//! reason.

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
    let count = each_test_exists(section(&document(), "Invariants"));
    assert!(count > 50, "the tables were not found");
}

#[test]
fn every_promise_of_the_threat_model_names_tests_that_exist() {
    let document = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let promises = section(&document, "Promises");
    let count = each_test_exists(promises);
    let all = rows(promises);
    let without = all.iter().skip_while(|cells| !cells[0].starts_with("---")).skip(1);
    for cells in without.filter(|cells| !cells[0].starts_with("---") && cells[0] != "promise") {
        assert!(cells[1].contains("::"), "no test holds the promise: {}", cells[0]);
    }
    assert!(count > 30, "the tables were not found");
}

/// Fails if a test in the last column of the tables does not exist. Returns how many there are.
fn each_test_exists(tables: &str) -> usize {
    let rows = rows(tables);
    let held = rows.iter().flat_map(|cells| quoted(cells.last().map_or("", String::as_str)));
    let names: Vec<String> = held.filter(|name| name.contains("::")).collect();
    for name in &names {
        assert!(is_test(name), "there is no test {name}");
    }
    names.len()
}

/// Whether the function at the end of this path is a test of the module before it.
fn is_test(name: &str) -> bool {
    let (module, function) = name.rsplit_once("::").unwrap();
    let module = module.strip_suffix("::tests").unwrap_or(module).replace("::", "/");
    ["tests/it", "src"].iter().any(|directory| {
        let place = root().join(directory).join(&module);
        [place.with_extension("rs"), place.join("mod.rs")].iter().any(|file| {
            let text = fs::read_to_string(file).unwrap_or_default();
            text.find(&format!("fn {function}(")).is_some_and(|at| {
                let before = text[..at].rsplit("\n\n").next().unwrap_or_default();
                before.contains("#[test]") || before.contains("#[tokio::test")
            })
        })
    })
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

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let lines: Vec<&str> = manifest.lines().collect();
    let tables = lines
        .split(|line| line.starts_with('['))
        .zip(std::iter::once("").chain(lines.iter().copied().filter(|line| line.starts_with('['))));
    let mut found = 0;
    for (table, heading) in tables {
        if !heading.contains("dependencies") {
            continue;
        }
        let entries = table.iter().enumerate().filter(|(_, line)| line.contains(" = "));
        for (at, entry) in entries {
            let reason = at.checked_sub(1).is_some_and(|before| table[before].starts_with("# "));
            assert!(reason, "no comment above `{entry}`");
            found += 1;
        }
    }
    assert!(found > 40, "the manifest was not understood");
}
