//! User names and passwords in what people type, which no message may repeat.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What is shown instead of a user name and a password.
const HIDDEN: &str = "***";

/// Whether `text` is written like a URL or a server with a user name or a password.
pub fn has_userinfo(text: &str) -> bool {
    matches!(without_login(text), Cow::Owned(_))
}

/// `text` as a message may repeat it: a query may contain a token.
pub fn without_userinfo(text: &str) -> Cow<'_, str> {
    let shown = without_login(text);
    match shown.split_once('?') {
        Some((before, query)) if !query.is_empty() => Cow::Owned(format!("{before}?{HIDDEN}")),
        _ => shown,
    }
}

/// `text` without its user name and password.
pub fn strip_userinfo(text: &str) -> Cow<'_, str> {
    match without_login(text) {
        Cow::Owned(shown) => Cow::Owned(shown.replacen(&format!("{HIDDEN}@"), "", 1)),
        plain @ Cow::Borrowed(_) => plain,
    }
}

/// The user name before the host of a URL, percent-decoded. It may be a token as well, so it is not to be shown.
pub fn user_of(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split('/').next()?;
    let (userinfo, _) = authority.rsplit_once('@')?;
    let user = userinfo.split(':').next()?;
    Some(percent_decode_str(user).decode_utf8_lossy().into_owned())
}

fn without_login(text: &str) -> Cow<'_, str> {
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let start = match text.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => scheme.len() + "://".len(),
        _ => 0,
    };
    let (scheme, rest) = text.split_at(start);
    let mut signs = rest.rmatch_indices('@').map(|(at, _)| at);
    match signs.find(|&at| ends_userinfo(rest, at)) {
        Some(at) => Cow::Owned(format!("{scheme}{HIDDEN}{}", &rest[at..])),
        None => Cow::Borrowed(text),
    }
}

/// Whether the `@` at `at` ends a user name or a password. A password may contain a slash, although a
/// URL must not. Other signs begin a digest, a scope of npm, or the version of a package.
fn ends_userinfo(rest: &str, at: usize) -> bool {
    let (before, after) = (&rest[..at], &rest[at + 1..]);
    let is_digest = ["sha256:", "sha384:", "sha512:"].iter().any(|it| after.starts_with(it));
    let Some((authority, _)) = before.split_once('/') else { return !is_digest };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let is_scope = before.ends_with('/') && has_port;
    authority.contains(':') && !is_scope && !is_digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_before_the_host_is_shown() {
        for (typed, shown) in [
            ("https://user:secret@host/", "https://***@host/"),
            ("https://secret@host/", "https://***@host/"),
            ("user:sec@ret@host", "***@host"),
            ("secret@host/app:1", "***@host/app:1"),
            ("https://user:sec/ret@host/", "https://***@host/"),
            ("user:secret/@host", "***@host"),
            ("user:1/secret@host", "***@host"),
            ("user:secret://@host", "***@host"),
            ("docker://user:secret@host/app@sha256:abc", "docker://***@host/app@sha256:abc"),
            ("https://user:secret@[::1]:5000/", "https://***@[::1]:5000/"),
            ("@host", "***@host"),
        ] {
            assert_eq!(without_userinfo(typed), shown, "{typed}");
            assert!(has_userinfo(typed), "{typed}");
        }
    }

    #[test]
    fn a_query_is_not_shown_and_is_no_login() {
        for (typed, shown) in [
            ("https://host/npm/?token=secret", "https://host/npm/?***"),
            ("https://user:secret@host/?x", "https://***@host/?***"),
            ("host/app?sig=secret", "host/app?***"),
        ] {
            assert_eq!(without_userinfo(typed), shown);
        }
        assert!(!has_userinfo("https://host/npm/?token=secret"));
        assert_eq!(without_userinfo("what?"), "what?");
    }

    #[test]
    fn what_has_none_is_shown_as_it_is() {
        for typed in [
            "",
            "ACME",
            "host:5000",
            "https://host/",
            "alpine@sha256:abc",
            "ubuntu:22.04@sha256:abc",
            "host:5000/app:t@sha256:abc",
            "https://npm.pkg.github.com/@org/pkg",
            "http://127.0.0.1:4873/@org/pkg",
            "https://host/pkg@1.0.0",
        ] {
            assert_eq!(without_userinfo(typed), typed);
            assert!(!has_userinfo(typed), "{typed}");
        }
    }
}
