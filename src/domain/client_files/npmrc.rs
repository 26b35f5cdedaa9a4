//! The lines `//HOST/PATH/:tokenHelper=PROGRAM` in `~/.npmrc`, which tell pnpm to run a program for the
//! token of a registry.

use std::collections::{BTreeMap, BTreeSet};

use super::NewText;
use crate::domain::package_clients::format::PackageFormat;
use crate::domain::servers::package_kind::PackageKind;
use crate::domain::servers::package_server::PackageServer;

/// Begins a file that the agent created.
const CREATED: &str = "; Created by registry-agent, which removes it when nothing else is in it.";

/// The setting that names the program.
const TOKEN_HELPER: &str = "tokenHelper";
/// The settings with which a user says how to log in. pnpm prefers the program to all of them.
const LOGIN_SETTINGS: [&str; 4] = ["_authToken", "_auth", "username", TOKEN_HELPER];

/// The result of an edit.
#[derive(Debug, PartialEq, Eq)]
pub struct NpmrcEdit {
    /// What becomes of the file.
    pub text: NewText,
    /// The keys whose lines another program had removed.
    pub repaired: Vec<String>,
    /// The settings of the user that keep ours out, such as `//registry.example.com/:_authToken`.
    pub conflicts: Vec<String>,
}

/// The key of the settings of an npm registry at `server`, and the URL of the registry; `None` if no npm
/// registry can be there.
pub fn setting(server: &PackageServer) -> Option<(String, String)> {
    if !PackageFormat::Npm.may_be_in(server) {
        return None;
    }
    let is_domain = matches!(server.kind(), PackageKind::CodeArtifact(_)) && server.path() == "/";
    let url = format!("{}{}", server.name(), if is_domain { "npm/" } else { "" });
    let (_, rest) = url.split_once("://")?;
    // The file has no way to write these.
    let is_safe = !rest.contains(['=', ';', '#', '$', '"', '\'']);
    let key = format!("//{rest}");
    is_safe.then_some((key, url))
}

/// Edits the text of the file, `None` if there is no file: `wanted` is the program of each key, and `ours`
/// recognizes programs of the agent. Of other lines of ours, only those of `obsolete` keys are removed: an
/// agent of another container may share the file.
pub fn edit(
    text: Option<&str>,
    wanted: &BTreeMap<String, String>,
    ours: impl Fn(&str) -> bool,
    obsolete: impl Fn(&str) -> bool,
    known: &BTreeSet<String>,
) -> NpmrcEdit {
    let old = text.unwrap_or_default();
    let end = if old.contains("\r\n") { "\r\n" } else { "\n" };
    let settings = settings(old);
    let conflicts = conflicts(&settings, wanted, &ours);
    let is_blocked = |key: &str| conflicts.iter().any(|name| is_for(name, key));
    let mut missing = wanted.clone();
    missing.retain(|key, _| !is_blocked(key));
    let mut lines: Vec<String> = Vec::new();
    let mut place = None;
    for (line, setting) in old.split_inclusive('\n').zip(&settings) {
        let own = setting
            .as_ref()
            .and_then(|setting| setting.token_helper_key())
            .filter(|_| setting.as_ref().is_some_and(|setting| ours(&setting.value)));
        match own {
            None => lines.push(line.to_owned()),
            Some(key) => match missing.remove(key) {
                Some(program) => lines.push(format!("{key}:{TOKEN_HELPER}={program}{end}")),
                None if is_blocked(key) || wanted.contains_key(key) || obsolete(key) => {}
                None => lines.push(line.to_owned()),
            },
        }
        if own.is_some() {
            place = Some(lines.len());
        }
    }
    let repaired = missing.keys().filter(|key| known.contains(*key)).cloned().collect();
    let new = missing.iter().map(|(key, program)| format!("{key}:{TOKEN_HELPER}={program}{end}"));
    let mut new: Vec<String> = new.collect();
    if text.is_none() && !new.is_empty() {
        new.insert(0, format!("{CREATED}{end}"));
    }
    // Not at the end, which may be in a section, or lack its line end.
    let place = place.unwrap_or_default().min(lines.len());
    lines.splice(place..place, new);
    let new = lines.concat();
    let text = if new == old {
        NewText::Same
    } else if new.trim_end() == CREATED {
        NewText::Removed
    } else {
        NewText::Text(new.into())
    };
    NpmrcEdit { text, repaired, conflicts }
}

/// The keys of our lines.
pub fn own_keys(text: &str, ours: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let settings = settings(text).into_iter().flatten();
    let own = settings.filter(|setting| ours(&setting.value));
    own.filter_map(|setting| setting.token_helper_key().map(str::to_owned)).collect()
}

/// The names of the settings that say how to log in to the registry with this key.
pub fn login_settings(text: &str, key: &str) -> Vec<String> {
    let all = settings(text).into_iter().flatten().map(|setting| setting.name);
    all.filter(|name| is_for(name, key)).collect()
}

/// A line `NAME=VALUE`.
struct Setting {
    name: String,
    value: String,
}

impl Setting {
    fn token_helper_key(&self) -> Option<&str> {
        self.name.strip_suffix(TOKEN_HELPER)?.strip_suffix(':')
    }
}

/// The setting on each line. Those of a section do not count.
fn settings(text: &str) -> Vec<Option<Setting>> {
    let mut in_section = false;
    let of_line = |line: &str| {
        let line = line.trim_start_matches('\u{feff}').trim();
        in_section |= line.starts_with('[') && line.ends_with(']');
        if in_section || line.starts_with([';', '#']) {
            return None;
        }
        let (name, value) = line.split_once('=')?;
        let plain = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
        Some(Setting { name: plain(name), value: plain(value) })
    };
    text.split_inclusive('\n').map(of_line).collect()
}

/// The names of the user's settings that say how to log in to a wanted registry.
fn conflicts(
    settings: &[Option<Setting>],
    wanted: &BTreeMap<String, String>,
    ours: impl Fn(&str) -> bool,
) -> Vec<String> {
    let theirs = settings.iter().flatten().filter(|setting| !ours(&setting.value));
    let conflicts = theirs.filter(|setting| wanted.keys().any(|key| is_for(&setting.name, key)));
    conflicts.map(|setting| setting.name.clone()).collect()
}

/// Whether the setting `name` says how to log in to the registry with this key.
fn is_for(name: &str, key: &str) -> bool {
    let Some((registry, setting)) = name.rsplit_once(':') else { return false };
    LOGIN_SETTINGS.contains(&setting) && registry.trim_end_matches('/') == key.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "/home/dev/state/npm/";

    fn wanted(keys: &[&str]) -> BTreeMap<String, String> {
        keys.iter().map(|key| ((*key).to_owned(), format!("{OURS}{}", key.len()))).collect()
    }

    fn edited(text: Option<&str>, keys: &[&str]) -> NpmrcEdit {
        edit(text, &wanted(keys), |value| value.starts_with(OURS), |_| true, &BTreeSet::new())
    }

    fn text_of(edit: NpmrcEdit) -> String {
        match edit.text {
            NewText::Text(text) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_registry_that_may_hold_npm_packages_has_a_setting() {
        let domain = "acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com";
        for (server, expected) in [
            (format!("https://{domain}/"), Some(format!("//{domain}/npm/"))),
            (format!("https://{domain}/npm/shared"), Some(format!("//{domain}/npm/shared/"))),
            (format!("https://{domain}/pypi/shared/"), None),
            ("https://npm.pkg.github.com".to_owned(), Some("//npm.pkg.github.com/".to_owned())),
            ("https://maven.pkg.github.com/acme/".to_owned(), None),
            ("localhost:4873".to_owned(), Some("//localhost:4873/".to_owned())),
            ("https://h:8443/a%2Fb/".to_owned(), Some("//h:8443/a%2Fb/".to_owned())),
            ("https://h/a=b/".to_owned(), None),
        ] {
            let key = setting(&PackageServer::parse(&server).unwrap()).map(|(key, _)| key);
            assert_eq!(key, expected, "{server}");
        }
    }

    #[test]
    fn whatever_a_user_wrote_comes_back_as_it_was() {
        for theirs in [
            "",
            "\n",
            "registry=https://registry.npmjs.org/",
            "; comment\n@acme:registry = https://h/npm/\nsave-exact=true\n",
            "a=1\r\nb=2\r\n",
            "\n\n[section]\n//h/npm/:tokenHelper=/theirs",
            "//h/npm/:always-auth=true\n\u{feff}",
            "//other/:_authToken=${TOKEN}\n",
        ] {
            let with = edited(Some(theirs), &["//h/npm/", "//other.example/"]);
            assert_eq!(with.conflicts, [""; 0], "{theirs:?}");
            let with = text_of(with);
            assert_eq!(with.matches(OURS).count(), 2, "{with:?}");
            assert!(with.ends_with(theirs), "{with:?}");
            assert_eq!(edited(Some(&with), &["//h/npm/", "//other.example/"]).text, NewText::Same);
            let fewer = text_of(edited(Some(&with), &["//h/npm/"]));
            assert_eq!(fewer.matches(OURS).count(), 1, "{fewer:?}");
            assert_eq!(text_of(edited(Some(&fewer), &[])), theirs);
        }
    }

    #[test]
    fn a_file_that_only_the_agent_needs_is_removed() {
        let created = text_of(edited(None, &["//h/"]));
        assert_eq!(created, format!("{CREATED}\n//h/:tokenHelper={OURS}4\n"));
        assert_eq!(edited(Some(&created), &[]).text, NewText::Removed);
        assert_eq!(edited(None, &[]).text, NewText::Same);
        let more = format!("{created}save-exact=true\n");
        let theirs = text_of(edited(Some(&more), &[]));
        assert_eq!(theirs, format!("{CREATED}\nsave-exact=true\n"));
    }

    #[test]
    fn a_login_that_the_user_chose_stays_and_keeps_ours_out() {
        for theirs in [
            "//h/npm/:_authToken=${TOKEN}",
            "//h/npm:_authToken = x",
            "//h/npm/:tokenHelper=/theirs",
            "//h/npm/:_auth=dTpw",
            "\"//h/npm/:username\" = me",
        ] {
            let text = format!("{theirs}\n//h/npm/:tokenHelper={OURS}8\n");
            let edit = edited(Some(&text), &["//h/npm/"]);
            assert_eq!(edit.conflicts.len(), 1, "{theirs}");
            assert_eq!(text_of(edit), format!("{theirs}\n"));
            let edit = edited(Some(theirs), &["//h/npm/", "//h/"]);
            assert_eq!(text_of(edit), format!("//h/:tokenHelper={OURS}4\n{theirs}"));
        }
    }

    #[test]
    fn lines_of_an_agent_that_shares_the_file_stay() {
        let text = format!("//a/:tokenHelper={OURS}a\n//b/:tokenHelper={OURS}b\nx=1\n");
        let ours = |value: &str| value.starts_with(OURS);
        let edit = edit(Some(&text), &BTreeMap::new(), ours, |key| key == "//b/", &BTreeSet::new());
        assert_eq!(text_of(edit), format!("//a/:tokenHelper={OURS}a\nx=1\n"));
        assert_eq!(own_keys(&text, ours).len(), 2);
    }

    #[test]
    fn a_line_that_another_program_removed_is_named() {
        let known = BTreeSet::from(["//a/".to_owned()]);
        let edit = edit(Some("x=1\n"), &wanted(&["//a/", "//b/"]), |_| false, |_| true, &known);
        assert_eq!(edit.repaired, ["//a/"]);
    }
}
