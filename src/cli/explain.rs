//! `explain`: what a reason means and how to fix it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;

use super::output::stdout;

/// Built in, because the machines that run the agent do not have the documentation.
const DOCUMENT: &str = include_str!("../../docs/troubleshooting.md");
/// The minimum similarity (Jaro-Winkler, 0 to 1) of a code that is suggested for an unknown one.
const SIMILARITY: f64 = 0.75;

/// `registry-agent explain`
pub fn explain(code: Option<&str>) -> anyhow::Result<ExitCode> {
    let Some(code) = code else {
        for (code, _) in sections() {
            writeln!(stdout(), "{code}")?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some((_, section)) = sections().find(|(known, _)| *known == code) else {
        bail!(unknown(code));
    };
    write!(stdout(), "{section}")?;
    Ok(ExitCode::SUCCESS)
}

/// The sections of the document by their codes.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    DOCUMENT.split("\n### ").skip(1).filter_map(|part| {
        let section = part.split("\n## ").next()?;
        let (code, text) = section.split_once('\n')?;
        Some((code.trim_matches('`'), text.trim_start_matches('\n')))
    })
}

fn unknown(code: &str) -> String {
    let mut similar: Vec<(f64, &str)> = sections()
        .map(|(known, _)| (strsim::jaro_winkler(known, code), known))
        .filter(|(similarity, _)| *similarity >= SIMILARITY)
        .collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0));
    let nearest: Vec<&str> = similar.iter().take(3).map(|(_, known)| *known).collect();
    if nearest.is_empty() {
        format!("no reason has the code {code}; `registry-agent explain` lists the codes")
    } else {
        format!("no reason has the code {code}; the nearest are: {}", nearest.join(", "))
    }
}
