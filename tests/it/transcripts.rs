//! What the commands print, as files: `tests/it/transcripts/*.txt`. `WRITE_DOCS=1` writes them anew.
//!
//! A line after `$ ` is run by a shell; its output and its exit status follow. `export` and `unset` apply
//! to all lines that follow. What differs from run to run has a placeholder.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text};

/// The registry in the transcripts. It has as many characters as the real one.
const SERVER: &str = "127.0.0.1:50500";
/// The units of a countdown.
const UNITS: [&str; 4] = ["s", "min", "h", "d"];
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/transcripts");

#[test]
fn the_commands_print_what_the_transcripts_show() {
    let mut files: Vec<_> =
        fs::read_dir(DIRECTORY).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let expected = fs::read_to_string(&file).unwrap();
        let printed = replay(&expected);
        if std::env::var_os("WRITE_DOCS").is_some() {
            fs::write(&file, printed).unwrap();
            continue;
        }
        assert_eq!(printed, expected, "{}", file.display());
    }
}

/// The transcript of the commands in another one.
fn replay(transcript: &str) -> String {
    let registry = Registry::start(&Auth::Htpasswd(&[("acr-user", "secret")]), None);
    let home = TestHome::new();
    let mut environment = String::new();
    let mut text = String::new();
    for line in transcript.lines() {
        let Some(command) = line.strip_prefix("$ ") else {
            // A comment.
            if line.starts_with('#') {
                writeln!(text, "{line}").unwrap();
            }
            continue;
        };
        writeln!(text, "$ {command}").unwrap();
        let command = command.replace(SERVER, &registry.server());
        if command.starts_with("export ") || command.starts_with("unset ") {
            writeln!(environment, "{command}").unwrap();
            continue;
        }
        let mut shell = home.command("sh");
        let output = shell.args(["-c", &format!("{environment}{command}")]).output().unwrap();
        text.push_str(&placeholders(&output_text(&output), &home.path(""), &registry.server()));
        writeln!(text, "exit {}\n", output.status.code().unwrap()).unwrap();
    }
    text
}

fn placeholders(text: &str, home: &Path, server: &str) -> String {
    let text = text.replace(server, SERVER);
    let text = text.replace(home.to_str().unwrap().trim_end_matches('/'), "HOME");
    let text: String = text.lines().map(|line| placeholders_of_line(line) + "\n").collect();
    // A countdown changes the width of its column.
    if !text.contains("in TIME") {
        return text;
    }
    text.lines()
        .map(|line| if line.starts_with(' ') { line.to_owned() } else { columns(line) } + "\n")
        .collect()
}

fn placeholders_of_line(line: &str) -> String {
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let words: Vec<&str> = line.split(' ').collect();
    let mut shown: Vec<String> = Vec::new();
    let mut rest = &words[..];
    loop {
        rest = match rest {
            ["in", number, unit, more @ ..] if is_number(number) && UNITS.contains(unit) => {
                shown.push("in TIME".to_owned());
                match more {
                    [number, unit, more @ ..] if is_number(number) && UNITS.contains(unit) => more,
                    more => more,
                }
            }
            ["(pid", number, more @ ..] if is_number(number.trim_end_matches(')')) => {
                shown.push("(pid PID)".to_owned());
                more
            }
            [word, more @ ..] => {
                shown.push((*word).to_owned());
                more
            }
            [] => break,
        };
    }
    shown.join(" ")
}

/// A row of a table with two spaces between its columns.
fn columns(line: &str) -> String {
    let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    cells.collect::<Vec<_>>().join("  ")
}
