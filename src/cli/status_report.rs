//! The status as text: a table, reasons and fixes; and the exit status it leads to.

use std::io::Write;

use jiff::Timestamp;

use super::output::{stdout, use_color};
use crate::adapters::clock::Clock;
use crate::domain::declarations::discovery::AMBIENT_NAME;
use crate::wire::api::{ProblemEntry, RegistryDocument, StatusDocument};

/// Exit status when a login is not usable or a declaration is incomplete.
const NOT_WELL: u8 = 3;

/// The exit status for a status document. The automatic login of `GITHUB_TOKEN` does not count,
/// because nobody asked for it.
pub fn exit_code(status: &StatusDocument) -> u8 {
    let well = status
        .registries
        .iter()
        .filter(|registry| registry.name.as_deref() != Some(AMBIENT_NAME))
        .all(|registry| matches!(registry.state.as_str(), "ready" | "unverified"));
    let complete = !status.problems.iter().any(|problem| keeps_a_login_away(problem, status));
    if well && complete { 0 } else { NOT_WELL }
}

/// Whether a problem keeps a declared set from becoming a login.
pub fn keeps_a_login_away(problem: &ProblemEntry, status: &StatusDocument) -> bool {
    let is_file = problem.name.contains('/');
    let is_login =
        status.registries.iter().any(|r| r.name.as_deref() == Some(problem.name.as_str()));
    // The other set of the same server is the login.
    !is_file && !is_login && problem.code != "server-declared-twice"
}

/// Prints logins, each with its reason and the fix.
pub fn print_registries(registries: &[RegistryDocument], json: bool) -> anyhow::Result<()> {
    let mut out = stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(registries)?)?;
        return Ok(());
    }
    table(&mut out, &registries.iter().map(row).collect::<Vec<_>>())?;
    for registry in registries {
        if let Some(reason) = &registry.reason {
            writeln!(out, "\n{}: {reason}", label(registry))?;
            if let Some(hint) = &registry.hint {
                writeln!(out, "  fix: {hint}")?;
            }
        }
    }
    Ok(())
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
    let colour = match state {
        "ready" | "unverified" => "32",
        "pending" | "unreachable" | "rate-limited" => "33",
        "rejected" | "expired" | "invalid" => "31",
        _ => return padded,
    };
    if use_color() { format!("\x1b[{colour}m{padded}\x1b[0m") } else { padded }
}

/// An instant relative to now, such as "in 5m".
fn relative(at: Option<Timestamp>) -> String {
    let Some(at) = at else { return "-".to_owned() };
    let left = at.duration_since(Clock::system().now());
    let text = |unit: i64, seconds: i64, name: &str| format!("{}{name}", seconds / unit);
    let seconds = left.abs().as_secs();
    let amount = match seconds {
        0..120 => text(1, seconds, "s"),
        120..7200 => text(60, seconds, "m"),
        7200..172_800 => text(3600, seconds, "h"),
        _ => text(86_400, seconds, "d"),
    };
    if left.is_negative() { format!("{amount} ago") } else { format!("in {amount}") }
}
