//! Logins as a table that fits the terminal.

use std::fmt::Write;

use clap::builder::styling::AnsiColor;
use jiff::Timestamp;

use super::human_time::relative;
use super::output::server_for_people;
use crate::wire::api::RegistryDocument;

const HEAD: [&str; 8] =
    ["NAME", "REGISTRY", "KIND", "USER", "STATE", "EXPIRES", "REFRESH", "DECLARED IN"];
/// The columns that a narrow terminal lacks, the first to go first.
const DISPENSABLE: [usize; 5] = [KIND, REFRESH, SOURCE, USER, EXPIRES];
const NAME: usize = 0;
const REGISTRY: usize = 1;
const KIND: usize = 2;
const USER: usize = 3;
const STATE: usize = 4;
const EXPIRES: usize = 5;
const REFRESH: usize = 6;
const SOURCE: usize = 7;
const GAP: &str = "  ";
const NOTHING: &str = "-";

type Row = [String; 8];

/// The logins in lines of at most `width`: a row each, or several lines where a row does not fit.
pub fn login_table(
    registries: &[RegistryDocument],
    now: Timestamp,
    width: Option<usize>,
) -> String {
    let rows: Vec<Row> = registries.iter().map(|registry| row(registry, now)).collect();
    let widths: [usize; 8] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEAD[column].len()]).max().unwrap_or_default()
    });
    let mut columns: Vec<usize> = (0..HEAD.len()).collect();
    let empty = |column: &usize| rows.iter().all(|row| row[*column] == NOTHING);
    let mut dispensable: Vec<usize> = DISPENSABLE.to_vec();
    dispensable.sort_by_key(|column| !empty(column));
    let limit = width.unwrap_or(usize::MAX);
    let too_wide = |columns: &[usize]| {
        let cells: usize = columns.iter().map(|column| widths[*column]).sum();
        cells + GAP.len() * (columns.len() - 1) > limit
    };
    for column in dispensable {
        if too_wide(&columns) {
            columns.retain(|kept| *kept != column);
        }
    }
    if too_wide(&columns) {
        return rows.iter().map(|row| block(row, limit)).collect();
    }
    let head = HEAD.map(str::to_owned);
    std::iter::once(&head).chain(&rows).map(|row| line(row, &columns, &widths)).collect()
}

fn row(registry: &RegistryDocument, now: Timestamp) -> Row {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    [
        or_nothing(registry.name.clone()),
        server_for_people(&registry.server).to_owned(),
        registry.kind.clone(),
        or_nothing(registry.user.clone()),
        registry.state.clone(),
        or_nothing(registry.expires_at.map(|at| relative(at, now))),
        or_nothing(registry.next_refresh_at.map(|at| relative(at, now))),
        registry.source.clone(),
    ]
}

fn line(row: &Row, columns: &[usize], widths: &[usize; 8]) -> String {
    let cells = columns.iter().map(|&column| {
        let padded = format!("{:<width$}", row[column], width = widths[column]);
        if column == STATE { painted(&row[STATE], padded) } else { padded }
    });
    let line = cells.collect::<Vec<_>>().join(GAP);
    format!("{}\n", line.trim_end())
}

/// One login in several lines.
fn block(row: &Row, limit: usize) -> String {
    let mut text = format!("{}{GAP}{}\n", row[NAME], painted(&row[STATE], row[STATE].clone()));
    for column in [REGISTRY, USER, EXPIRES, REFRESH, SOURCE] {
        if row[column] == NOTHING {
            continue;
        }
        let label = HEAD[column].to_lowercase();
        let fits = GAP.len() + 13 + row[column].chars().count() <= limit;
        let between = if fits { " ".repeat(13 - label.len()) } else { format!("\n{GAP}{GAP}") };
        let _ = writeln!(text, "{GAP}{label}{between}{}", row[column]);
    }
    text
}

/// `text` in the colour of a state.
pub fn painted(state: &str, text: String) -> String {
    let color = match state {
        "ready" | "unverified" => AnsiColor::Green,
        "pending" | "unreachable" | "rate-limited" => AnsiColor::Yellow,
        "rejected" | "expired" | "invalid" => AnsiColor::Red,
        _ => return text,
    };
    let style = color.on_default();
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ecr(name: &str) -> RegistryDocument {
        serde_json::from_value(json!({
            "name": name, "server": "111122223333.dkr.ecr.eu-west-1.amazonaws.com", "kind": "ecr",
            "user": "AKIA…WXYZ", "source": "/workspaces/.codespaces/shared/environment-variables.json",
            "keys": [], "state": "ready", "expires_at": "2026-11-24T17:20:00Z",
            "next_refresh_at": "2026-11-24T11:00:00Z",
        }))
        .unwrap()
    }

    fn plain(width: Option<usize>) -> String {
        let now = "2026-11-24T06:00:00Z".parse().unwrap();
        let table = login_table(&[ecr("WORK"), ecr("OTHER")], now, width);
        anstream::adapter::strip_str(&table).to_string()
    }

    #[test]
    fn every_column_is_shown_where_there_is_room() {
        let table = plain(None);
        assert_eq!(table.lines().count(), 3, "{table}");
        assert!(HEAD.iter().all(|head| table.contains(head)), "{table}");
    }

    #[test]
    fn a_narrow_terminal_shows_the_important_columns_or_several_lines() {
        for width in [40, 60, 80, 100, 120] {
            let table = plain(Some(width));
            for line in table.lines() {
                let one_word = line.split_whitespace().count() == 1;
                assert!(line.chars().count() <= width || one_word, "{width}: {table}");
            }
            for part in ["WORK", "111122223333.dkr.ecr.eu-west-1.amazonaws.com", "ready"] {
                assert!(table.contains(part), "{width}: {table}");
            }
        }
        assert!(plain(Some(80)).contains("in 11 h"), "{}", plain(Some(80)));
    }
}
