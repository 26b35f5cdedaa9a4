//! The summary of a run, as a part of a document.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::tally::{FAILURES, Tally};

/// The document that shows a run of half an hour or more.
const DOCUMENT: &str = "docs/reliability.md";
const HEADING: &str = "## The last run\n";

/// The summary in Markdown.
pub(super) fn of(tally: &Tally, minutes: u64, seed: u64, took: Duration) -> String {
    let faults = tally.faults();
    let total: usize = faults.values().sum();
    let (without_token, stopped) = tally.excused();
    let mut text =
        format!("`make soak MINUTES={minutes} SEED={seed}`\n\n| | count |\n| --- | --- |\n");
    let mut row = |name: &str, value: &str| _ = writeln!(text, "| {name} | {value} |");
    row("minutes", &(took.as_secs() / 60).to_string());
    row("questions to the helper", &tally.requests().to_string());
    row("faults", &total.to_string());
    for (failure, name) in FAILURES {
        row(name, &tally.failures(failure).len().to_string());
    }
    row(
        "answered with nothing, because AWS could not be asked in time",
        &without_token.to_string(),
    );
    row(
        "unanswered while agent and supervisor were stopped for longer than 12 s",
        &stopped.to_string(),
    );
    if let Some((descriptors, memory)) = tally.sizes() {
        let [supervisor, agent] = descriptors;
        row(
            "open descriptors at a rest, supervisor and agent, at most",
            &format!("{supervisor}, {agent}"),
        );
        let [supervisor, agent] = memory;
        row(
            "private memory in KiB, supervisor and agent, debug build, at most",
            &format!("{supervisor}, {agent}"),
        );
    }
    text.push_str("\n| fault | times |\n| --- | --- |\n");
    for (fault, count) in faults {
        _ = writeln!(text, "| {} | {count} |", words(&format!("{fault:?}")));
    }
    let failures = failures(tally);
    if !failures.is_empty() {
        _ = write!(text, "\n{}\n", failures.join("\n"));
    }
    text
}

/// What must never happen and did, the first of each kind.
pub(super) fn failures(tally: &Tally) -> Vec<String> {
    let of = |(failure, name): (_, &str)| {
        let all = tally.failures(failure);
        all.into_iter().take(10).map(|text| format!("{name}: {text}")).collect::<Vec<_>>()
    };
    FAILURES.into_iter().flat_map(of).collect()
}

/// Prints the summary, keeps it in the target directory, and shows it in the document if asked to.
pub(super) fn write(text: &str, target: &Path) {
    print(&format!("\n{text}"));
    fs::write(target.join("soak.md"), text).unwrap();
    if std::env::var_os("WRITE_DOCS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
        let document = fs::read_to_string(&path).unwrap();
        let (before, _) = document.split_once(HEADING).expect("the heading of the last run");
        fs::write(path, format!("{before}{HEADING}\n{text}")).unwrap();
    }
}

#[expect(clippy::print_stdout, reason = "the summary of a run is for its reader")]
pub(super) fn print(text: &str) {
    println!("{text}");
}

/// `KillAgent` as `kill agent`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(character.to_ascii_lowercase());
    }
    words
}
