//! What is mistyped around a server, and what was meant.

use super::authority::ServerFault;
use super::userinfo::strip_userinfo;
use crate::domain::spelling::nearest;

/// Quotation marks, straight and typographic.
const QUOTES: [char; 12] = [
    '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{201a}',
    '\u{201b}', '\u{ab}', '\u{bb}',
];

/// What is mistyped around a server. Without this, a mistyped scheme would be a host.
pub(super) fn fault_of(text: &str) -> Option<ServerFault> {
    let text = text.trim();
    if text.starts_with(QUOTES) || text.ends_with(QUOTES) {
        return Some(ServerFault::Quoted);
    }
    let (scheme, _) = mistyped_scheme(text)?;
    let is_exact = text.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
    let has_other_word = text.contains("://") && !is_exact;
    Some(if has_other_word { ServerFault::Scheme } else { ServerFault::SchemeEnd })
}

/// `text` without quotation marks around it.
pub(super) fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(QUOTES).trim()
}

/// `text` with the scheme that was meant, and without quotation marks and a login.
pub fn repaired(text: &str) -> String {
    let bare = unquoted(text);
    match mistyped_scheme(bare) {
        Some((scheme, rest)) => strip_userinfo(&format!("{scheme}://{rest}")).into_owned(),
        None => strip_userinfo(bare).into_owned(),
    }
}

/// The scheme that `text` was meant to begin with, and what follows it, unless it is as it should be.
fn mistyped_scheme(text: &str) -> Option<(&'static str, &str)> {
    let is_mark = |c| matches!(c, ':' | '/' | ';' | '\\');
    let (word, rest) = text.split_at(text.find(is_mark)?);
    let host = rest.trim_start_matches(is_mark);
    let marks = &rest[..rest.len() - host.len()];
    let scheme = nearest(word, ["http", "https"])?;
    let is_exact = word.eq_ignore_ascii_case(scheme);
    let has_slash = marks.contains(['/', '\\']);
    // `http:5000` is a host with a port, and `httpd/app` one with a path.
    let is_scheme = if is_exact {
        !marks.starts_with("://") && (has_slash || !host.starts_with(|c: char| c.is_ascii_digit()))
    } else {
        marks.len() > 1 && has_slash
    };
    (is_scheme && !host.is_empty()).then_some((scheme, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_that_was_meant_stays_and_what_surrounds_the_server_goes() {
        for (text, fault, meant) in [
            ("http//127.0.0.1:5000", Some(ServerFault::SchemeEnd), "http://127.0.0.1:5000"),
            ("https:/registry.test/v2/", Some(ServerFault::SchemeEnd), "https://registry.test/v2/"),
            ("https:registry.test", Some(ServerFault::SchemeEnd), "https://registry.test"),
            ("https:///registry.test", None, "https:///registry.test"),
            ("https;//registry.test", Some(ServerFault::SchemeEnd), "https://registry.test"),
            ("http:\\\\registry.test", Some(ServerFault::SchemeEnd), "http://registry.test"),
            ("htps://registry.test", Some(ServerFault::Scheme), "https://registry.test"),
            ("htttp://registry.test", Some(ServerFault::Scheme), "http://registry.test"),
            ("hhtps:/registry.test", Some(ServerFault::SchemeEnd), "https://registry.test"),
            ("\"http//registry.test\"", Some(ServerFault::Quoted), "http://registry.test"),
            ("\u{201c}registry.test\u{201d}", Some(ServerFault::Quoted), "registry.test"),
            ("'https://registry.test", Some(ServerFault::Quoted), "https://registry.test"),
            ("https://bob:secret@registry.test", None, "https://registry.test"),
            ("HTTP://registry.test", None, "HTTP://registry.test"),
            ("https://registry.test", None, "https://registry.test"),
            ("ftp://registry.test", None, "ftp://registry.test"),
            ("http:5000", None, "http:5000"),
            ("httpd/app", None, "httpd/app"),
            ("[::1]:5000", None, "[::1]:5000"),
            ("registry.test:5000", None, "registry.test:5000"),
        ] {
            assert_eq!((fault_of(text), &*repaired(text)), (fault, meant), "{text}");
        }
    }
}
