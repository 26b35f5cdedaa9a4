//! Wraps text for a terminal.

/// Wraps `text` at spaces so that no line exceeds `width`, and indents all lines but the first. A
/// command in backquotes stays in one piece, so that it can be copied; if it is longer than a line,
/// the terminal wraps it.
pub fn wrapped(text: &str, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut lines = String::new();
    let mut column = 0;
    for word in words(text) {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

/// The parts of a text between spaces that are not in backquotes, with the indentation of the text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let body = text.trim_start();
    let mut quoted = false;
    let is_separator = move |c: char| {
        quoted ^= c == '`';
        c == ' ' && !quoted
    };
    let mut words = body.split(is_separator);
    let first = words.next().map_or("", |word| &text[..text.len() - body.len() + word.len()]);
    std::iter::once(first).chain(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_breaks_inside_a_word_or_a_command() {
        let text =
            "  fix: free space, then run `registry-agent sync --json` in a shell that has it";
        assert_eq!(
            wrapped(text, 4, Some(40)),
            "  fix: free space, then run\n    `registry-agent sync --json` in a\n    shell that has it"
        );
        assert_eq!(wrapped(text, 4, None), text);
        assert_eq!(wrapped(text, 4, Some(200)), text);
    }

    #[test]
    fn a_word_longer_than_a_line_has_a_line_of_its_own() {
        assert_eq!(
            wrapped("see /a/very/long/path there", 2, Some(10)),
            "see\n  /a/very/long/path\n  there"
        );
    }
}
