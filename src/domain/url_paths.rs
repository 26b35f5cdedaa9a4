//! Hides the paths of URLs from other users: that of a package registry may contain a token.

use std::collections::BTreeSet;
use std::ops::Bound::{Included, Unbounded};

/// docker's name for Docker Hub, whose path everybody knows.
const DOCKER_HUB: &str = "index.docker.io/v1/";
/// A slash in plain, percent-encoded, and as in the names of our files.
const SLASHES: [&str; 4] = ["/", "%2F", "%2f", "_2F"];

/// Paths to hide wherever they are, also without their host.
#[derive(Debug, Default)]
pub struct SecretPaths {
    /// Each is in every spelling. None begins with another one, so that one look-up finds any.
    spelled: BTreeSet<String>,
}

impl SecretPaths {
    /// These paths, which begin with a slash.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let trimmed = paths.into_iter().map(|path| path.trim_end_matches('/'));
        let trimmed = trimmed.filter(|path| !path.is_empty());
        let spelled = trimmed.flat_map(|path| SLASHES.map(|slash| path.replace('/', slash)));
        let mut shortest = BTreeSet::new();
        // What begins with another path comes after it.
        for path in spelled.collect::<BTreeSet<String>>() {
            if beginning_of(&path, &shortest).is_none() {
                shortest.insert(path);
            }
        }
        Self { spelled: shortest }
    }

    /// The text with `…` instead of these paths, and of the path of each URL, with or without a scheme.
    pub fn hide_in(&self, text: &str) -> String {
        let hidden =
            SLASHES.iter().fold(text.to_owned(), |text, slash| without_paths(&text, slash));
        self.without_these(&hidden)
    }

    fn without_these(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['/', '%', '_']) {
            let (before, after) = rest.split_at(at);
            shown.push_str(before);
            if let Some(found) = beginning_of(after, &self.spelled) {
                let slash = SLASHES.iter().find(|slash| found.starts_with(**slash));
                shown.extend([slash.copied().unwrap_or_default(), "…"]);
                rest = after.trim_start_matches(is_of_url);
            } else {
                let (one, others) = after.split_at(1);
                shown.push_str(one);
                rest = others;
            }
        }
        shown + rest
    }
}

/// The member of `paths` that `text` begins with.
fn beginning_of<'a>(text: &str, paths: &'a BTreeSet<String>) -> Option<&'a String> {
    paths
        .range::<str, _>((Unbounded, Included(text)))
        .next_back()
        .filter(|path| text.starts_with(path.as_str()))
}

/// The text with `…` instead of the path of each URL that is written with this slash.
fn without_paths(text: &str, slash: &str) -> String {
    let start = slash.repeat(2);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&start) {
        let (before, after) = rest.split_at(at + start.len());
        shown.push_str(before);
        let url = after.split(|c| !is_of_url(c)).next().unwrap_or_default();
        match url.split_once(slash) {
            Some((authority, path))
                if !authority.is_empty() && !path.is_empty() && url != DOCKER_HUB =>
            {
                shown.extend([authority, slash, "…"]);
                rest = after.trim_start_matches(is_of_url);
            }
            _ => rest = after,
        }
    }
    shown + rest
}

/// Whether the character may be in a URL (RFC 3986, section 2).
fn is_of_url(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~%/?#[]@!$&'()*+,;=:".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_each_url_is_hidden() {
        for (text, shown) in [
            ("", ""),
            ("no URL: a/b", "no URL: a/b"),
            ("https://h.test/", "https://h.test/"),
            ("https://h.test:8443/t0k/a%2Fb/ is ready", "https://h.test:8443/… is ready"),
            (r#"{"a":"http://[::1]:1/t/","b":"c/d"}"#, r#"{"a":"http://[::1]:1/…","b":"c/d"}"#),
            (
                "`check https://h.test/t/`, or https://i.test/u",
                "`check https://h.test/…`, or https://i.test/…",
            ),
            ("https://index.docker.io/v1/ is ready", "https://index.docker.io/v1/ is ready"),
            ("https://index.docker.io/v1/t", "https://index.docker.io/…"),
            ("https://h.test/redirect/https://i.test/t", "https://h.test/…"),
            ("`//h.test/t0k/npm/:_authToken`", "`//h.test/…`"),
            (
                "/home/npm/https_3A_2F_2Fh.test_2Ft0k_2F: no",
                "/home/npm/https_3A_2F_2Fh.test_2F… no",
            ),
            (
                "https%3A%2F%2Fh.test%2Ft0k and %2f%2fh%2ft",
                "https%3A%2F%2Fh.test%2F… and %2f%2fh%2f…",
            ),
            ("unix:///run/docker.sock", "unix:///run/docker.sock"),
            ("://", "://"),
        ] {
            assert_eq!(SecretPaths::default().hide_in(text), shown);
        }
    }

    #[test]
    fn a_declared_path_is_hidden_without_its_host() {
        let paths = SecretPaths::new(["/", "/t0k/npm/", "/t0k/", "/other/"]);
        for (text, shown) in [
            ("Cannot GET /t0k/npm/-/whoami", "Cannot GET /…"),
            ("/t0k, h.test/other", "/… h.test/…"),
            ("at _2Ft0k_2Fnpm and %2Fother%2F é", "at _2F… and %2F… é"),
            ("/t0 /a_b/% /", "/t0 /a_b/% /"),
        ] {
            assert_eq!(paths.hide_in(text), shown);
        }
    }
}
