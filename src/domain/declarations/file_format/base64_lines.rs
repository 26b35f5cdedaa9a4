//! One `NAME=<base64 of the value>` per line.

use super::{Malformed, Parsed, is_variable};
use crate::domain::credentials::secret::Secret;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let mut parsed = Parsed::default();
    let whole = bytes.ends_with(b"\n");
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    for (index, line) in lines.iter().enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let at = line.iter().position(|&byte| byte == b'=').ok_or(Malformed::Line(index + 1))?;
        let (name, encoded) = (&line[..at], &line[at + 1..]);
        let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_variable(name)) else {
            continue;
        };
        let encoded: Vec<u8> =
            encoded.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        // A truncated file lacks the last line end, and rarely ends at a multiple of four.
        if index + 1 == lines.len() && !whole && !encoded.len().is_multiple_of(4) {
            return Err(Malformed::Line(index + 1));
        }
        match Secret::from_base64(&encoded) {
            Some(value) => {
                parsed.variables.insert(name.to_owned(), value);
            }
            None => parsed.refused.push(name.to_owned()),
        }
    }
    Ok(parsed)
}
