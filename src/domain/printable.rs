//! Text of variables and files as one printable line, so that it cannot pass for a line of ours.

use std::borrow::Cow;

/// The text with an escape such as `\u{1b}` for each character that is not printable.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    Cow::Owned(shown)
}

/// The same for a text that is the caller's own.
pub fn into_printable(text: String) -> String {
    match printable(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(shown) => shown,
    }
}

/// Control characters would move the terminal's cursor, and bidirectional control characters would
/// change what the line appears to say.
pub fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printable_is_escaped_and_the_rest_unchanged() {
        for (text, shown) in [
            ("", ""),
            ("plain – ümlaut \\n 語", "plain – ümlaut \\n 語"),
            ("a\nproblem: b", "a\\nproblem: b"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b\u{200b}c", "a\\u{202e}b\\u{200b}c"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
