//! The table of `docs/packages.md`: each client's test records its row, and `make docs` writes the rows
//! into the document.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::engine::target;

/// The clients, in the order of the table.
const CLIENTS: [&str; 17] = [
    "cargo",
    "pip",
    "uv",
    "poetry",
    "twine",
    "pnpm",
    "yarn",
    "Go",
    "git",
    "Bazel",
    "Terraform, OpenTofu",
    "NuGet",
    "npm",
    "yarn 1",
    "bun",
    "Bundler",
    "Composer",
];

const HEAD: &str =
    "| client | version tested | what works | asks the helper |\n| --- | --- | --- | --- |\n";

/// Records the row of a client that has just done `what`, having asked the helper `asked`. Fails if the
/// document says something else.
pub(crate) fn record(client: &str, version: &str, what: &str, asked: &[String]) {
    let mut calls: Vec<String> = Vec::new();
    for call in asked.iter().map(|call| format!("`{}`", without_urls(call))) {
        if !calls.contains(&call) {
            calls.push(call);
        }
    }
    let row = format!("| {client} | {version} | {what} | {} |", calls.join(", "));
    let file = file_of(client);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, &row).unwrap();
    let kept = row_of(&document(), client);
    let current = kept.as_deref().map(without_version) == Some(without_version(&row));
    assert!(current || is_writing(), "docs/packages.md is not current, run `make docs`: {row}");
}

#[test]
fn the_table_of_package_clients_is_current() {
    let document = document();
    let (before, rest) = document.split_once(HEAD).expect("the table");
    let end = rest.find("\n\n").unwrap() + 1;
    let listed: Vec<&str> = rest[..end].lines().map(name_of).collect();
    if is_writing() {
        let rows = CLIENTS.iter().map(|client| {
            let recorded = fs::read_to_string(file_of(client)).ok();
            recorded.or_else(|| row_of(&document, client)).unwrap_or_default() + "\n"
        });
        let table: String = rows.collect();
        fs::write(path(), format!("{before}{HEAD}{table}{}", &rest[end..])).unwrap();
    } else {
        assert_eq!(listed, CLIENTS);
    }
}

fn is_writing() -> bool {
    std::env::var_os("WRITE_DOCS").is_some()
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/packages.md")
}

fn document() -> String {
    fs::read_to_string(path()).unwrap()
}

fn file_of(client: &str) -> PathBuf {
    let name = client.to_lowercase().replace(", ", "-").replace(' ', "-");
    target().join("package-clients").join(name)
}

fn row_of(document: &str, client: &str) -> Option<String> {
    // Another table may have a row of the same client.
    let (_, table) = document.split_once(HEAD)?;
    table.lines().find(|line| line.starts_with(&format!("| {client} |"))).map(str::to_owned)
}

fn name_of(row: &str) -> &str {
    row.trim_start_matches("| ").split(" |").next().unwrap_or_default()
}

/// A version of a client changes without us.
fn without_version(row: &str) -> Vec<&str> {
    let cells = row.split(" | ").enumerate();
    cells.filter(|(index, _)| *index != 1).map(|(_, cell)| cell).collect()
}

fn without_urls(call: &str) -> String {
    let words = call.split(' ').map(|word| if word.contains("://") { "URL" } else { word });
    words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
}
