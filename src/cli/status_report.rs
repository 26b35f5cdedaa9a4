//! The status as text: a table, reasons and fixes; and the exit status it leads to.

use std::io::Write;

use clap::builder::styling::AnsiColor;
use jiff::{Timestamp, ToSpan as _};

use crate::adapters::clock::Clock;
use crate::domain::declarations::discovery::AMBIENT_NAME;
use crate::domain::reasons::Severity;
use crate::wire::api::{ProblemEntry, RegistryDocument, StatusDocument};

/// Exit status when a login is not usable, or a problem keeps clients from one.
const NOT_WELL: u8 = 3;

/// The exit status for a status document. The automatic login of `GITHUB_TOKEN` does not count,
/// because nobody asked for it.
pub fn exit_code(status: &StatusDocument) -> u8 {
    let well = status
        .registries
        .iter()
        .filter(|registry| registry.name.as_deref() != Some(AMBIENT_NAME))
        .all(|registry| matches!(registry.state.as_str(), "ready" | "unverified"));
    if well && !status.problems.iter().any(keeps_clients_away) { 0 } else { NOT_WELL }
}

/// Whether a problem keeps clients from a login that somebody asked for.
pub fn keeps_clients_away(problem: &ProblemEntry) -> bool {
    problem.severity == Severity::Error && problem.name != AMBIENT_NAME
}

/// How a problem is introduced.
pub fn severity_word(problem: &ProblemEntry) -> &'static str {
    match problem.severity {
        Severity::Error => "problem",
        Severity::Remark => "remark",
    }
}

/// Prints logins, each with its reason and the fix.
pub fn print_registries(registries: &[RegistryDocument], json: bool) -> anyhow::Result<()> {
    // Colours are left out where the terminal, `NO_COLOR` or `TERM=dumb` asks for none.
    let mut out = anstream::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(registries)?)?;
        return Ok(());
    }
    table(&mut out, &registries.iter().map(row).collect::<Vec<_>>())?;
    for registry in registries {
        if let Some(reason) = &registry.reason {
            writeln!(out, "\n{}", introduced(label(registry), reason))?;
            if let Some(hint) = &registry.hint {
                writeln!(out, "  fix: {hint}")?;
            }
        }
    }
    Ok(())
}

/// A problem as one line, with its source where the sentence does not name it.
pub fn headline(problem: &ProblemEntry) -> String {
    let source = problem.source.as_ref().filter(|source| !problem.problem.contains(*source));
    let source = source.map_or_else(String::new, |source| format!(" (in {source})"));
    format!("{}{source}", introduced(&problem.name, &problem.problem))
}

/// A sentence after what it is about, unless it begins with that itself.
fn introduced(subject: &str, sentence: &str) -> String {
    let rest = sentence.strip_prefix(subject);
    if rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric)) {
        sentence.to_owned()
    } else {
        format!("{subject}: {sentence}")
    }
}

/// The short name of a login.
pub fn label(registry: &RegistryDocument) -> &str {
    registry.name.as_deref().unwrap_or(&registry.server)
}

const HEAD: [&str; 8] =
    ["NAME", "REGISTRY", "KIND", "USER", "STATE", "EXPIRES", "REFRESH", "DECLARED IN"];
const STATE: usize = 4;

fn row(registry: &RegistryDocument) -> [String; 8] {
    [
        registry.name.clone().unwrap_or_else(|| "-".to_owned()),
        registry.server.clone(),
        registry.kind.clone(),
        registry.user.clone().unwrap_or_else(|| "-".to_owned()),
        registry.state.clone(),
        relative(registry.expires_at),
        relative(registry.next_refresh_at),
        registry.source.clone(),
    ]
}

fn table(out: &mut impl Write, rows: &[[String; 8]]) -> anyhow::Result<()> {
    let widths: [usize; 8] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEAD[column].len()]).max().unwrap_or_default()
    });
    let line = |cells: [&str; 8]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let padded = format!("{cell:<width$}");
                if column == STATE { paint(cell, padded) } else { padded }
            })
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    writeln!(out, "{}", line(HEAD))?;
    for row in rows {
        writeln!(out, "{}", line(std::array::from_fn(|column| row[column].as_str())))?;
    }
    Ok(())
}

fn paint(state: &str, padded: String) -> String {
    let color = match state {
        "ready" | "unverified" => AnsiColor::Green,
        "pending" | "unreachable" | "rate-limited" => AnsiColor::Yellow,
        "rejected" | "expired" | "invalid" => AnsiColor::Red,
        _ => return padded,
    };
    let style = color.on_default();
    format!("{style}{padded}{style:#}")
}

/// An instant relative to now, such as "in 5m".
fn relative(at: Option<Timestamp>) -> String {
    at.map_or("-".to_owned(), |at| in_words(at.duration_since(Clock::system().now()).as_secs()))
}

fn in_words(seconds: i64) -> String {
    let span = match seconds.abs() {
        0..120 => seconds.seconds(),
        120..7200 => (seconds / 60).minutes(),
        7200..172_800 => (seconds / 3600).hours(),
        _ => (seconds / 86_400).days(),
    };
    if seconds < 0 { format!("{span:#}") } else { format!("in {span:#}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sentence_is_about_is_said_once() {
        let lines = [("A", "A_SERVER is empty"), ("A", "AWS failed"), ("/a", "/a cannot be read")]
            .map(|(subject, sentence)| introduced(subject, sentence));
        assert_eq!(lines, ["A_SERVER is empty", "A: AWS failed", "/a cannot be read"]);
    }

    #[test]
    fn an_instant_is_told_in_one_unit() {
        let cases = [
            (0, "in 0s"),
            (119, "in 119s"),
            (125, "in 2m"),
            (7199, "in 119m"),
            (86_400, "in 24h"),
            (200_000, "in 2d"),
            (-59, "59s ago"),
            (-3600, "60m ago"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(in_words(seconds), expected);
        }
    }
}
