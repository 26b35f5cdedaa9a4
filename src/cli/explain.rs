//! `explain`: what a reason means and how to fix it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::builder::styling::Style;
use serde::Serialize;

use super::line_wrap::wrapped;
use super::output::{Failed, print_note};
use super::terminal;
use crate::domain::servers::userinfo::without_userinfo;

/// Built in, because the machines that run the agent do not have the documentation.
const DOCUMENT: &str = include_str!("../../docs/troubleshooting.md");
/// The minimum similarity (Jaro-Winkler, 0 to 1) of a code that is suggested for an unknown one.
const SIMILARITY: f64 = 0.85;
/// How many codes are suggested.
const SUGGESTIONS: usize = 10;
/// How far the lines below a heading or a message are indented.
const INDENT: usize = 2;

/// An entry in the table of contents.
#[derive(Clone, Copy, Serialize)]
struct Entry {
    code: &'static str,
    area: &'static str,
    meaning: &'static str,
}

/// The section of a code.
#[derive(Serialize)]
struct Section {
    #[serde(flatten)]
    entry: Entry,
    cases: Vec<Case>,
}

/// A message with this code, its usual cause and its fix.
#[derive(Serialize)]
struct Case {
    message: &'static str,
    /// Paragraphs, some of which are indented samples; may be empty.
    cause: String,
    fix: &'static str,
}

/// `registry-agent explain`
pub fn explain(asked: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let codes = codes();
    let width = terminal::width();
    let text = match asked {
        None if json => serde_json::to_string_pretty(&codes)? + "\n",
        None => list(&codes, width),
        Some(asked) => {
            let Some(entry) = codes.iter().find(|it| it.code.eq_ignore_ascii_case(asked)) else {
                return unknown(asked, &codes, terminal::width_of_stderr());
            };
            let section = Section { entry: *entry, cases: cases(entry.code) };
            if json { serde_json::to_string_pretty(&section)? + "\n" } else { section.text(width) }
        }
    };
    anstream::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The table of contents: lines such as ``- [Area](#area)`` and ``  - [`code`](#code): meaning``.
fn codes() -> Vec<Entry> {
    let contents = DOCUMENT.split("\n## ").next().unwrap_or_default();
    let mut area = "";
    let mut codes = Vec::new();
    for line in contents.lines() {
        if let Some(line) = line.strip_prefix("  - [`") {
            if let (Some((code, _)), Some((_, meaning))) =
                (line.split_once('`'), line.split_once("): "))
            {
                codes.push(Entry { code, area, meaning });
            }
        } else if let Some(line) = line.strip_prefix("- [") {
            area = line.split(']').next().unwrap_or_default();
        }
    }
    codes
}

/// The messages in the section of a code: each is followed by its cause, and ends with its fix.
fn cases(code: &str) -> Vec<Case> {
    let heading = format!("\n### `{code}`\n");
    let section = DOCUMENT.split(heading.as_str()).nth(1).unwrap_or_default();
    let section = section.split("\n### ").next().unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut cases = Vec::new();
    let mut paragraphs: Vec<&str> = Vec::new();
    for paragraph in section.split("\n\n").map(|paragraph| paragraph.trim_matches('\n')) {
        match (paragraph.strip_prefix("**Fix:** "), &paragraphs[..]) {
            (Some(fix), [message, cause @ ..]) => {
                cases.push(Case { message: message.trim_start(), cause: cause.join("\n\n"), fix });
                paragraphs.clear();
            }
            _ => paragraphs.push(paragraph),
        }
    }
    cases
}

/// Every code below its area.
fn list(codes: &[Entry], width: Option<usize>) -> String {
    let areas = codes.chunk_by(|one, next| one.area == next.area);
    let areas = areas.map(|codes| format!("{}\n{}", bold(codes[0].area), rows(codes, width)));
    areas.collect::<Vec<_>>().join("\n")
}

/// A line for each code.
fn rows(codes: &[Entry], width: Option<usize>) -> String {
    let longest = codes.iter().map(|it| it.code.len()).max().unwrap_or_default();
    let row = |it: &Entry| {
        let line = format!("{:INDENT$}{:<longest$}  {}", "", it.code, it.meaning);
        wrapped(&line, 2 * INDENT, width) + "\n"
    };
    codes.iter().map(row).collect()
}

impl Section {
    fn text(&self, width: Option<usize>) -> String {
        let Entry { code, meaning, .. } = self.entry;
        let mut text = format!("{}\n", wrapped(&format!("{code}: {meaning}"), INDENT, width));
        for Case { message, cause, fix } in &self.cases {
            let _ = writeln!(text, "\n{}", bold(&wrapped(message, INDENT, width)));
            let fix = format!("fix: {fix}");
            let cause = cause.split("\n\n").filter(|paragraph| !paragraph.is_empty());
            for paragraph in cause.chain([fix.as_str()]) {
                // The lines of a sample stay as they are.
                if paragraph.starts_with(' ') {
                    let _ = writeln!(text, "{paragraph}");
                    continue;
                }
                let line = format!("{:INDENT$}{}", "", paragraph.replace('\n', " "));
                let _ = writeln!(text, "{}", wrapped(&line, INDENT, width));
            }
        }
        text
    }
}

/// Bold where the terminal has colours.
fn bold(text: &str) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}")
}

/// Says that a code is unknown, and lists the codes that are like it or about it.
fn unknown(asked: &str, codes: &[Entry], width: Option<usize>) -> anyhow::Result<ExitCode> {
    let word = asked.to_lowercase();
    let likeness = |it: &Entry| {
        let contains = it.code.contains(&word) || it.meaning.to_lowercase().contains(&word);
        match contains {
            _ if it.code.starts_with(&word) => 2.0,
            true => 1.0,
            false => strsim::jaro_winkler(it.code, &word),
        }
    };
    let mut similar: Vec<(f64, Entry)> = codes.iter().map(|it| (likeness(it), *it)).collect();
    similar.retain(|(likeness, _)| *likeness >= SIMILARITY && !word.is_empty());
    similar.sort_by(|one, other| other.0.total_cmp(&one.0));
    let nearest: Vec<Entry> = similar.into_iter().take(SUGGESTIONS).map(|(_, it)| it).collect();
    let unknown = format!(
        "no reason has the code {}; `registry-agent explain` lists all codes",
        without_userinfo(asked)
    );
    if nearest.is_empty() {
        bail!(unknown);
    }
    print_note(&format!("{unknown}, and these are similar:"));
    anstream::stderr().write_all(rows(&nearest, width).as_bytes())?;
    Err(Failed(1).into())
}
