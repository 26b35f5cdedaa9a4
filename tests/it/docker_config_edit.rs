//! Edits of the docker configuration as a text.

use std::collections::{BTreeMap, BTreeSet};

use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::docker_config::{Edit, PublishedEntries, Wanted, edit};
use registry_agent::domain::reasons::PublishReason;

const PATH: &str = "/home/dev/.docker/config.json";

fn helpers(keys: &[&str]) -> Wanted {
    Wanted { helpers: keys.iter().map(ToString::to_string).collect(), ..Wanted::default() }
}

fn auths(logins: &[(&str, &str, &str)]) -> Wanted {
    let login = |(key, user, secret): &(&str, &str, &str)| {
        ((*key).to_owned(), Credential::plain(*user, (*secret).into()))
    };
    Wanted { auths: logins.iter().map(login).collect(), ..Wanted::default() }
}

fn published(text: &str, wanted: &Wanted, ours: &PublishedEntries) -> Edit {
    edit(PATH, text, wanted, ours).unwrap()
}

/// Publishes, checks what docker would now read, unpublishes, and gives both texts.
fn there_and_back(text: &str, keys: &[&str]) -> (String, String) {
    let there = published(text, &helpers(keys), &PublishedEntries::default());
    let after = there.text.clone().unwrap_or_else(|| text.to_owned());
    let value: serde_json::Value =
        serde_json::from_str(after.trim_start_matches('\u{feff}')).unwrap();
    for key in keys {
        assert_eq!(value["credHelpers"][key], "registry-agent", "{after}");
    }
    assert_eq!(published(&after, &helpers(keys), &there.ours).text, None, "twice is once");
    let back = published(&after, &Wanted::default(), &there.ours);
    assert_eq!((&back.ours.helpers, &back.ours.empty_helpers), (&BTreeSet::new(), &None));
    (after.clone(), back.text.unwrap_or(after))
}

#[test]
fn a_new_member_is_formatted_like_its_neighbours() {
    let cases = [
        // docker's own layout
        (
            "{\n\t\"auths\": {}\n}",
            "{\n\t\"auths\": {},\n\t\"credHelpers\": {\n\t\t\"ghcr.io\": \"registry-agent\"\n\t}\n}",
        ),
        // two blanks, Windows line ends
        (
            "{\r\n  \"auths\" : {}\r\n}\r\n",
            "{\r\n  \"auths\" : {},\r\n  \"credHelpers\" : {\r\n    \"ghcr.io\" : \
             \"registry-agent\"\r\n  }\r\n}\r\n",
        ),
        // minified
        (r#"{"auths":{}}"#, r#"{"auths":{},"credHelpers":{"ghcr.io":"registry-agent"}}"#),
        // as Python prints
        (
            r#"{"auths": {}, "psFormat": "x"}"#,
            r#"{"auths": {}, "psFormat": "x", "credHelpers": {"ghcr.io": "registry-agent"}}"#,
        ),
        ("{}\n", "{\"credHelpers\": {\"ghcr.io\": \"registry-agent\"}}\n"),
        ("", "{\n\t\"credHelpers\": {\n\t\t\"ghcr.io\": \"registry-agent\"\n\t}\n}\n"),
        // beside other helpers
        (
            "{\n  \"credHelpers\": {\n    \"gcr.io\": \"gcloud\"\n  }\n}",
            "{\n  \"credHelpers\": {\n    \"gcr.io\": \"gcloud\",\n    \"ghcr.io\": \
             \"registry-agent\"\n  }\n}",
        ),
        // filling an empty section
        (
            "{\n  \"credHelpers\": { },\n  \"x\": 1\n}",
            "{\n  \"credHelpers\": {\n    \"ghcr.io\": \"registry-agent\"\n  },\n  \"x\": 1\n}",
        ),
        (
            "{\n  \"credHelpers\": null}",
            "{\n  \"credHelpers\": {\n    \"ghcr.io\": \"registry-agent\"\n  }}",
        ),
    ];
    for (before, expected) in cases {
        let (after, back) = there_and_back(before, &["ghcr.io"]);
        assert_eq!(after, expected);
        if !before.is_empty() {
            assert_eq!(back, before);
        }
    }
}

#[test]
fn an_entry_that_names_another_helper_stays_and_is_named() {
    let text = r#"{"credHelpers": {"ghcr.io": "pass", "gcr.io": "registry-agent"}}"#;
    let outcome = published(text, &helpers(&["ghcr.io"]), &PublishedEntries::default());
    assert_eq!(outcome.text, None);
    assert_eq!(outcome.ours, PublishedEntries::default());
    assert_eq!(
        outcome.conflicts,
        [PublishReason::OtherHelper {
            path: PATH.to_owned(),
            key: "ghcr.io".to_owned(),
            helper: "pass".to_owned()
        }]
    );
}

#[test]
fn a_key_that_the_user_changed_is_not_removed() {
    let ours = published("{}", &helpers(&["ghcr.io"]), &PublishedEntries::default()).ours;
    let theirs = r#"{"credHelpers": {"ghcr.io": "pass"}}"#;
    let outcome = published(theirs, &helpers(&["ghcr.io"]), &ours);
    assert_eq!((outcome.text, outcome.ours.helpers), (None, BTreeSet::new()));
}

#[test]
fn an_entry_for_our_helper_that_nobody_remembers_or_wants_stays() {
    let text = r#"{"credHelpers": {"old.example": "registry-agent"}}"#;
    assert_eq!(
        published(text, &helpers(&["old.example"]), &PublishedEntries::default()).text,
        None
    );
    assert_eq!(published(text, &Wanted::default(), &PublishedEntries::default()).text, None);
}

#[test]
fn entries_that_others_dropped_are_put_back_and_named() {
    let wanted = helpers(&["docker.io", "ghcr.io"]);
    let first = published("{}", &wanted, &PublishedEntries::default());
    assert!(first.repaired.is_empty());
    let dropped = r#"{"credHelpers": {"docker.io": "registry-agent"}}"#;
    let second = published(dropped, &wanted, &first.ours);
    assert_eq!(second.repaired, ["ghcr.io"]);
    assert_eq!(second.ours.helpers, first.ours.helpers);
}

#[test]
fn of_duplicate_keys_the_last_one_counts() {
    let other_last = r#"{"credHelpers": {"a": "registry-agent", "a": "pass"}}"#;
    assert_eq!(
        published(other_last, &helpers(&["a"]), &PublishedEntries::default()).conflicts.len(),
        1
    );
    let other_case = r#"{"credHelpers": {}, "CREDHELPERS": {"a": "pass"}}"#;
    assert_eq!(
        published(other_case, &helpers(&["a"]), &PublishedEntries::default()).conflicts.len(),
        1
    );
    let twice = r#"{"credHelpers": {"b": "pass"}, "credHelpers": {"c": "pass"}, "x": 1}"#;
    let (after, back) = there_and_back(twice, &["a"]);
    assert!(after.contains(r#"{"c": "pass","a": "registry-agent"}"#), "{after}");
    assert_eq!(back, twice);
}

#[test]
fn an_escaped_key_is_the_same_key() {
    let text = r#"{"credHelpers": {"https:\/\/index.docker.io\/v1\/": "registry-agent"}}"#;
    let outcome =
        published(text, &helpers(&["https://index.docker.io/v1/"]), &PublishedEntries::default());
    assert_eq!(outcome.text, None);
    let back = published(text, &Wanted::default(), &outcome.ours);
    assert_eq!(back.text.as_deref(), Some("{}"));
}

#[test]
fn an_invalid_configuration_is_rejected_without_being_quoted() {
    for text in ["[]", "\"canary\"", "canary", "{\"a\": canary}", "{\"a\": 1} canary", "{", "null"]
    {
        let refused = edit(PATH, text, &helpers(&["a"]), &PublishedEntries::default()).unwrap_err();
        assert!(matches!(refused, PublishReason::Malformed { .. }), "{refused}");
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
    for text in [r#"{"credHelpers": []}"#, r#"{"credHelpers": "canary"}"#] {
        let refused = edit(PATH, text, &helpers(&["a"]), &PublishedEntries::default()).unwrap_err();
        assert!(matches!(refused, PublishReason::NotEntries { .. }), "{refused}");
    }
}

#[test]
fn plain_logins_are_renewed_and_removed_and_a_users_own_is_left() {
    let before = "{\n\t\"auths\": {\n\t\t\"quay.io\": {\n\t\t\t\"auth\": \"dTpw\"\n\t\t}\n\t}\n}";
    let first = published(before, &auths(&[("ghcr.io", "u", "one")]), &PublishedEntries::default());
    let text = first.text.unwrap();
    assert!(text.contains("\t\t\"ghcr.io\": {\"auth\": \"dTpvbmU=\"}"), "{text}");
    let second = published(&text, &auths(&[("ghcr.io", "u", "two")]), &first.ours);
    let text = second.text.unwrap();
    assert!(text.contains("dTp0d28=") && !text.contains("dTpvbmU="), "{text}");
    let users = text.replace("dTp0d28=", "bWU6bWluZQ==");
    let third = published(&users, &auths(&[("ghcr.io", "u", "three")]), &second.ours);
    assert_eq!((third.text, third.ours), (None, PublishedEntries::default()));
    assert!(
        matches!(&third.conflicts[..], [PublishReason::OtherLogin { key, .. }] if key == "ghcr.io")
    );
    let gone = published(&text, &Wanted::default(), &second.ours);
    assert_eq!(gone.text.as_deref(), Some(before));
}

#[test]
fn an_empty_marker_gives_way_to_a_plain_login_and_comes_back() {
    let before =
        r#"{"auths": {"ghcr.io": {}, "x": { }}, "credHelpers": {"ghcr.io": "registry-agent"}}"#;
    let ours = PublishedEntries {
        helpers: BTreeSet::from(["ghcr.io".to_owned()]),
        ..PublishedEntries::default()
    };
    let plain = published(before, &auths(&[("ghcr.io", "<token>", "t")]), &ours);
    let text = plain.text.unwrap();
    assert_eq!(text, r#"{"auths": {"ghcr.io": {"identitytoken": "t"}, "x": { }}}"#);
    let back = published(&text, &helpers(&["ghcr.io"]), &plain.ours);
    assert_eq!(
        back.text.as_deref(),
        Some(
            r#"{"auths": {"ghcr.io": {}, "x": { }},"credHelpers": {"ghcr.io": "registry-agent"}}"#
        )
    );
    assert_eq!(back.ours.auths, BTreeMap::new());
}

#[test]
fn a_store_or_helper_that_docker_asks_before_plain_logins_is_named() {
    let text = r#"{"credsStore": "dev-containers-1", "credHelpers": {"ghcr.io": "pass"}}"#;
    let outcome = published(text, &auths(&[("ghcr.io", "u", "p")]), &PublishedEntries::default());
    let codes: Vec<_> = outcome.conflicts.iter().map(PublishReason::code).collect();
    assert_eq!(codes, ["other-helper", "credentials-store-first"]);
}

#[test]
fn the_record_of_published_entries_contains_no_password() {
    let outcome =
        published("", &auths(&[("ghcr.io", "canary", "canary")]), &PublishedEntries::default());
    let remembered = serde_json::to_string(&outcome.ours).unwrap();
    assert!(!remembered.contains("canary") && !remembered.contains("Y2FuYXJ5"), "{remembered}");
}
