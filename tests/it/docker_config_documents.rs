//! Hundreds of documents through publish and unpublish: what is not ours is the same, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use registry_agent::domain::credentials::credential::Credential;
use registry_agent::domain::docker_config::{Edit, PublishedEntries, Wanted, edit};

const KEYS: [&str; 4] =
    ["https://index.docker.io/v1/", "docker.io", "ghcr.io", "registry.example.com:5000"];

fn helpers(keys: &[&str]) -> Wanted {
    Wanted { helpers: keys.iter().map(ToString::to_string).collect(), ..Wanted::default() }
}

fn auths(keys: &[&str], secret: &str) -> Wanted {
    let login = |key: &&str| ((*key).to_owned(), Credential::plain("u", secret.into()));
    Wanted { auths: keys.iter().map(login).collect::<BTreeMap<_, _>>(), ..Wanted::default() }
}

/// Takes a document through these wishes and back to none, and gives the text after each.
fn walk(text: &str, wishes: &[Wanted]) -> Vec<String> {
    let mut ours = PublishedEntries::default();
    let mut texts = vec![text.to_owned()];
    for wanted in wishes.iter().chain([&Wanted::default()]) {
        let now = texts.last().unwrap();
        let outcome = edit("config.json", now, wanted, &ours).unwrap();
        let next = outcome.text.unwrap_or_else(|| now.clone());
        let Edit { text, ours: again, .. } =
            edit("config.json", &next, wanted, &outcome.ours).unwrap();
        assert_eq!((text, &again), (None, &outcome.ours), "a second time changes nothing");
        ours = outcome.ours;
        texts.push(next);
    }
    assert_eq!(ours, PublishedEntries::default());
    texts
}

/// Whether `new` is `old` with something put in at one place, in which `slack` bytes gave way.
fn is_insertion(old: &str, new: &str, slack: usize) -> bool {
    let (old, new) = (old.as_bytes(), new.as_bytes());
    let same = |mut pairs: Box<dyn Iterator<Item = (&u8, &u8)> + '_>| {
        let mut count = 0;
        while pairs.next().is_some_and(|(a, b)| a == b) {
            count += 1;
        }
        count
    };
    let before = same(Box::new(old.iter().zip(new)));
    let after = same(Box::new(old.iter().rev().zip(new.iter().rev())));
    before + after + slack >= old.len()
}

fn assert_holds(text: &str, keys: &[&str]) {
    let json = text.trim_start_matches('\u{feff}');
    let value: serde_json::Value = serde_json::from_str::<serde_json::Value>(json)
        .unwrap_or_else(|error| panic!("{error}: {text}"));
    for key in keys {
        assert_eq!(value["credHelpers"][key], "registry-agent", "{text}");
    }
}

#[test]
fn hand_picked_documents_come_back_as_they_were() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/docker_config");
    let mut seen = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        seen += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let there = walk(&text, &[helpers(&KEYS)]);
        // A surrogate on its own, a number beyond all measure and great depth are things that
        // docker reads and `serde_json::Value` does not.
        if !["escapes.json", "numbers.json", "deep.json"].contains(&name) {
            assert_holds(&there[1], &KEYS);
        }
        assert!(is_insertion(&text, &there[1], 6), "{name}: {}", there[1]);
        assert_eq!(there[2], text, "{name}");
        let by_turns =
            [helpers(&KEYS[..2]), helpers(&KEYS[1..]), auths(&KEYS, "1"), auths(&KEYS[2..], "2")];
        assert_eq!(walk(&text, &by_turns).last(), Some(&text), "{name}");
    }
    assert!(seen >= 35, "{seen} documents");
}

#[test]
fn five_mebibytes_come_back_as_they_were() {
    let auth =
        |n: u32| format!("\t\t\"registry-{n}.example.com\": {{\n\t\t\t\"auth\": \"dTpw\"\n\t\t}}");
    let entries: Vec<_> = (0..100_000).map(auth).collect();
    let text = format!("{{\n\t\"auths\": {{\n{}\n\t}}\n}}", entries.join(",\n"));
    assert!(text.len() > 5 << 20);
    let texts = walk(&text, &[helpers(&KEYS), auths(&KEYS, "1")]);
    assert!(is_insertion(&text, &texts[1], 0) && is_insertion(&text, &texts[2], 0));
    assert!(texts[3] == text);
}

#[test]
fn an_empty_file_becomes_an_empty_configuration() {
    for text in ["", "\n", " \t\r\n", "\u{feff}", "\u{feff}\n"] {
        let texts = walk(text, &[helpers(&KEYS)]);
        assert_holds(&texts[1], &KEYS);
        assert_eq!(texts[1].starts_with('\u{feff}'), text.starts_with('\u{feff}'));
        assert_eq!(texts[2].trim_start_matches('\u{feff}'), "{\n}\n");
    }
}

/// Blanks as people and programs put them between tokens.
fn blanks() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", " ", "\n", "\t", "\r\n", "\n  ", "\r\n\t", "\n\n\t\t", "  "])
}

fn text() -> impl Strategy<Value = String> {
    r#"([a-z.{}:, é\[\]]|\\n|\\"|\\\\|\\u00e9|\\/){0,8}"#.prop_map(|inside| format!("\"{inside}\""))
}

fn joined(open: char, close: char, parts: &[String], inner: &str) -> String {
    if parts.is_empty() {
        format!("{open}{inner}{close}")
    } else {
        format!("{open}{}{close}", parts.join(","))
    }
}

/// Any value, written any way.
fn value() -> impl Strategy<Value = String> {
    let literals =
        vec!["null", "true", "false", "0", "-1.50e+3", "123456789012345678901234", "\"\""];
    let leaf = prop_oneof![prop::sample::select(literals).prop_map(str::to_owned), text()];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let padded = (blanks(), inner.clone(), blanks()).prop_map(|(a, v, b)| format!("{a}{v}{b}"));
        let member = member(text(), inner);
        prop_oneof![
            (prop::collection::vec(padded, 0..4), blanks())
                .prop_map(|(v, b)| joined('[', ']', &v, b)),
            (prop::collection::vec(member, 0..4), blanks())
                .prop_map(|(v, b)| joined('{', '}', &v, b)),
        ]
    })
}

fn member(
    key: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (blanks(), key, blanks(), blanks(), value, blanks())
        .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"))
}

/// `credHelpers` or `auths` with entries that are not ours.
fn section(name: &'static str, entry: &'static str) -> impl Strategy<Value = String> {
    let keys = vec!["\"gcr.io\"", "\"https:\\/\\/quay.io\"", "\"a.example\"", "\"b.example:1\""];
    let entry = member(prop::sample::select(keys).prop_map(str::to_owned), Just(entry.to_owned()));
    let object = (prop::collection::vec(entry, 0..4), blanks())
        .prop_map(|(entries, inner)| joined('{', '}', &entries, inner));
    let value = prop_oneof![8 => object, 1 => Just("null".to_owned())];
    member(Just(format!("\"{name}\"")), value)
}

fn document() -> impl Strategy<Value = String> {
    let any = member(text(), value());
    let members = prop::collection::vec(
        prop_oneof![
            3 => any,
            1 => section("credHelpers", "\"pass\""),
            1 => section("auths", "{\"auth\": \"dTpw\"}"),
        ],
        0..7,
    );
    let mark = prop::sample::select(vec!["", "", "", "\u{feff}"]);
    (mark, blanks(), members, blanks(), blanks()).prop_map(|(mark, a, members, inner, b)| {
        format!("{mark}{a}{}{b}", joined('{', '}', &members, inner))
    })
}

fn some_keys() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(KEYS.to_vec(), 0..=KEYS.len())
}

fn wish() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        some_keys().prop_map(|keys| helpers(&keys)),
        (some_keys(), "[ab]").prop_map(|(keys, secret)| auths(&keys, &secret)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_document_comes_back_as_it_was(text in document(), wishes in prop::collection::vec(wish(), 1..5)) {
        let texts = walk(&text, &wishes);
        prop_assert_eq!(texts.last().unwrap(), &text);
    }

    #[test]
    fn entries_are_put_into_any_document_at_one_place(text in document(), keys in some_keys()) {
        let texts = walk(&text, &[helpers(&keys)]);
        assert_holds(&texts[1], &keys);
        prop_assert!(is_insertion(&text, &texts[1], 8), "{}", texts[1]);
    }

    #[test]
    fn no_text_makes_an_edit_panic(text in "[{}\\[\\]\":,a\\\\ \n\u{feff}]{0,40}") {
        let _ = edit("config.json", &text, &helpers(&KEYS), &PublishedEntries::default());
    }
}
