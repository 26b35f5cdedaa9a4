//! One `NAME=value` per line.

use zeroize::Zeroizing;

use super::{Malformed, Parsed, is_variable};
use crate::domain::credentials::secret::Secret;

/// The meaning of quotes around a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// As in `sh`: they may contain line ends; double quotes may contain backslash escapes.
    Shell,
    /// As in `pam_env(8)`: one quote at each end is dropped.
    Pam,
}

pub(super) fn parse(bytes: &[u8], quoting: Quoting) -> Result<Parsed, Malformed> {
    parse_lines(bytes, quoting, false)
}

/// Parses a file that a person wrote: no line may be ignored by mistake.
pub(super) fn parse_strictly(bytes: &[u8]) -> Result<Parsed, Malformed> {
    parse_lines(bytes, Quoting::Shell, true)
}

fn parse_lines(bytes: &[u8], quoting: Quoting, strict: bool) -> Result<Parsed, Malformed> {
    let mut parsed = Parsed::default();
    let mut rest = bytes;
    let mut line_number = 0;
    while !rest.is_empty() {
        line_number += 1;
        let (line, after) = split_line(rest);
        let Some((name, value_at)) = assignment(line) else {
            if strict && !may_be_ignored(line) {
                return Err(Malformed::NoAssignment(line_number));
            }
            rest = after;
            continue;
        };
        let value = &line[value_at..];
        let quote = value.first().copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let value = match (quoting, quote) {
            (Quoting::Shell, Some(quote)) => {
                let opened = &rest[value_at + 1..];
                let Some((value, used)) = quoted(opened, quote) else {
                    if strict {
                        return Err(Malformed::OpenQuote(line_number));
                    }
                    if !bytes.ends_with(b"\n") {
                        return Err(Malformed::Line(line_number));
                    }
                    // A complete file with a stray quote loses this line only.
                    parsed.refused.push(name);
                    rest = after;
                    continue;
                };
                let (tail, next) = split_line(&opened[used..]);
                line_number += opened[..used].split(|&byte| byte == b'\n').count() - 1;
                rest = next;
                let tail = tail.trim_ascii();
                let ends = tail.is_empty() || tail.starts_with(b"#");
                if strict && !ends {
                    return Err(Malformed::AfterQuote(line_number));
                }
                ends.then_some(value)
            }
            (_, quote) => {
                rest = after;
                let value = value.trim_ascii_end();
                let unquoted = quote.map_or(value, |quote| {
                    let value = &value[1..];
                    value.strip_suffix(&[quote]).unwrap_or(value)
                });
                Some(Zeroizing::new(unquoted.to_vec()))
            }
        };
        let text = value.as_ref().and_then(|value| std::str::from_utf8(value).ok());
        match text {
            Some(text) => {
                parsed.variables.insert(name, Secret::new(text));
            }
            None => parsed.refused.push(name),
        }
    }
    Ok(parsed)
}

/// The first line without its end, and the rest.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(at) => (bytes[..at].strip_suffix(b"\r").unwrap_or(&bytes[..at]), &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

/// The name of an assignment and the position of its value; `None` for comments, blank lines and
/// everything else.
fn assignment(line: &[u8]) -> Option<(String, usize)> {
    let equals = line.iter().position(|&byte| byte == b'=')?;
    let left = std::str::from_utf8(&line[..equals]).ok()?.trim_start();
    let name = match left.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => left,
    };
    let blanks = line[equals + 1..].iter().take_while(|&&byte| matches!(byte, b' ' | b'\t'));
    let value_at = equals + 1 + blanks.count();
    is_variable(name).then(|| (name.to_owned(), value_at))
}

/// Whether a line that assigns nothing was meant to: blank lines, comments, assignments to names that
/// no shell has, and the commands that export what a script assigns.
fn may_be_ignored(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let mut words = line.split(u8::is_ascii_whitespace);
    let first = words.next().unwrap_or_default();
    let name = line.split(|&byte| byte == b'=').next().unwrap_or_default();
    let assigns = name.len() < line.len()
        && !name.is_empty()
        && !name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b':');
    let exports = match first {
        b"export" => !line.contains(&b'=') && !line.contains(&b':'),
        b"set" => words.all(|option| matches!(option, b"-a" | b"+a")),
        _ => false,
    };
    line.is_empty() || line.starts_with(b"#") || assigns || exports
}

/// The value up to its closing quote, and its length in bytes including the quote; `None` when the
/// quote is not closed.
fn quoted(bytes: &[u8], quote: u8) -> Option<(Zeroizing<Vec<u8>>, usize)> {
    let mut value = Zeroizing::new(Vec::with_capacity(bytes.len().min(4096)));
    let mut at = 0;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        if byte == quote {
            return Some((value, at));
        }
        let escaped = bytes.get(at).filter(|next| matches!(next, b'"' | b'\\' | b'$' | b'`'));
        match escaped {
            Some(&next) if byte == b'\\' && quote == b'"' => {
                value.push(next);
                at += 1;
            }
            _ => value.push(byte),
        }
    }
}
