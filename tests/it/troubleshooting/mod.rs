//! A sample and the cause of every reason. `make docs` writes `docs/troubleshooting.md` from them, and
//! `registry-agent explain` shows its sections.

mod aws;
mod checks;
mod declarations;
mod explain;
mod files;
mod meanings;
mod publishing;
mod registries;
mod rejections;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;
use std::{env, fs};

use registry_agent::adapters::config;
use registry_agent::domain::reasons::connection::ConnectionFault;
use registry_agent::domain::reasons::google_key::KeyFault;
use registry_agent::domain::reasons::image_access::ImageAccessReason;
use registry_agent::domain::reasons::rejection::RejectionHint;
use registry_agent::domain::reasons::stray::StrayCharacters;
use registry_agent::domain::reasons::{
    AgentReason, AwsReason, ClientReason, DeclarationReason, LoginReason, PublishReason, Reason,
    RegistryReason, SourceReason, ValueReason,
};
use registry_agent::domain::registry_protocol::realm::RealmFault;
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde_json::Value;

use self::meanings::MEANINGS;
use crate::support::test_home::succeed;

/// A reason with sample values, and its usual cause.
struct Sample {
    reason: Reason,
    cause: &'static str,
}

fn sample(reason: impl Into<Reason>, cause: &'static str) -> Sample {
    Sample { reason: reason.into(), cause }
}

fn areas() -> [(&'static str, Vec<Sample>); 12] {
    [
        ("Variables", declarations::variables()),
        ("Values", checks::values()),
        ("Files with variables", files::files()),
        ("Logins", files::logins()),
        ("Rejected logins", rejections::rejections()),
        ("Tokens and keys", rejections::tokens()),
        ("Responses of a registry", registries::answers()),
        ("Connections", registries::connections()),
        ("Image access", registries::images()),
        ("AWS", aws::aws()),
        ("Docker configuration and clients", publishing::clients()),
        ("Steps of check", checks::steps()),
    ]
}

#[test]
fn the_troubleshooting_document_is_current() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md");
    let document = document();
    if env::var_os("WRITE_DOCS").is_some() {
        fs::write(file, &document).unwrap();
    }
    let current = fs::read_to_string(file).unwrap_or_default() == document;
    assert!(
        current,
        "docs/troubleshooting.md does not match tests/it/troubleshooting: run `make docs`"
    );
}

#[test]
fn every_reason_has_a_sample() {
    let samples = areas().into_iter().flat_map(|(_, samples)| samples);
    let samples: Vec<Value> =
        samples.map(|sample| serde_json::to_value(sample.reason).unwrap()).collect();
    for (place, names) in [
        ("", variants::<Reason>()),
        ("/declaration", variants::<DeclarationReason>()),
        ("/source", variants::<SourceReason>()),
        ("/login", variants::<LoginReason>()),
        ("/aws", variants::<AwsReason>()),
        ("/publish", variants::<PublishReason>()),
        ("/value", variants::<ValueReason>()),
        ("/client", variants::<ClientReason>()),
        ("/agent", variants::<AgentReason>()),
        ("/registry", variants::<RegistryReason>()),
        ("/registry/refused/refusal", variants::<RejectionHint>()),
        ("/registry/refused/stray", variants::<StrayCharacters>()),
        ("/registry/unreached/fault", variants::<ConnectionFault>()),
        ("/registry/not-a-key/fault", variants::<KeyFault>()),
        ("/registry/realm-forbidden/fault", variants::<RealmFault>()),
        ("/registry/image-access", variants::<ImageAccessReason>()),
    ] {
        let shown: BTreeSet<&str> =
            samples.iter().filter_map(|sample| sample.pointer(place).map(name)).collect();
        for variant in names {
            assert!(
                shown.contains(variant),
                "add a sample of {place}/{variant} to tests/it/troubleshooting, then run `make docs`"
            );
        }
    }
}

#[test]
fn every_code_has_one_short_meaning() {
    let codes = areas().into_iter().flat_map(|(_, samples)| by_code(samples));
    let mut codes: Vec<&str> = codes.map(|(code, _)| code).collect();
    let mut known: Vec<&str> = MEANINGS.iter().map(|(code, _)| *code).collect();
    codes.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, codes, "tests/it/troubleshooting/meanings.rs");
    for (code, meaning) in MEANINGS {
        assert!(meaning.chars().count() <= 46, "the list of `explain` has 80 columns: {code}");
    }
}

#[test]
fn every_fix_begins_with_a_verb_or_says_that_no_action_is_needed() {
    const VERBS: &str = "add allow ask change check close copy correct create declare encode enable free get give \
                         install look make move push raise reduce remove rename renew replace restart run save \
                         set stop unset use write";
    let verbs: BTreeSet<&str> = VERBS.split(' ').collect();
    for (_, samples) in areas() {
        for Sample { reason, .. } in samples {
            let fix = reason.fix();
            let first = fix.split(' ').next().unwrap_or_default();
            assert!(
                verbs.contains(first) || fix.starts_with("no action needed"),
                "{}: {fix}",
                reason.code()
            );
            assert!(!fix.contains("docs/"), "the user's machine has no docs/: {fix}");
            assert!(!fix.contains('\n'), "a fix is one line: {fix}");
            let variables = fix.replace("<NAME>_CONTAINER", "ACME_CONTAINER");
            assert!(!variables.contains("NAME_CONTAINER"), "the name is `<NAME>`: {fix}");
            assert!(!fix.contains('…'), "names and commands are complete: {fix}");
        }
    }
}

#[test]
fn the_fix_for_a_token_server_works_as_pasted_and_pastes_no_host_that_is_a_command() {
    let fix = |realm: &str| {
        let (server, realm) = ("registry.example.com".to_owned(), realm.to_owned());
        Reason::from(RegistryReason::RealmNotAllowed { server, realm }).fix()
    };
    let home = tempfile::tempdir().unwrap();
    let fix_for_auth = fix("auth.example.com:8443");
    let command = fix_for_auth.split('`').nth(1).unwrap();
    succeed(Command::new("sh").args(["-c", command]).env("HOME", home.path()));
    // A second paste must not add a second table, which would make the file invalid.
    succeed(Command::new("sh").args(["-c", command]).env("HOME", home.path()));
    let loaded = config::load(&[
        home.path().join("none"),
        home.path().join(".config/registry-agent/config.toml"),
    ])
    .unwrap();
    assert_eq!(loaded.config.servers["registry.example.com"].realms, ["auth.example.com:8443"]);
    assert!(!fix("a';reboot;'.example.com").contains("reboot"));
}

fn document() -> String {
    let mut text = "# Troubleshooting\n\n\
        Every reason and problem that `registry-agent status` and `registry-agent check` show, by its \
        code: the message, its cause and the fix. `registry-agent explain CODE` shows one section, \
        `registry-agent explain` lists the codes. `status --json` has the code of each reason in `code`.\n\n\
        In a fix, `<NAME>` stands for the name of your set of variables, such as `ACME` in \
        `ACME_CONTAINER_REGISTRY_USER`. `status` and `check` show the name itself.\n\n\
        <!-- Written by `make docs` from tests/it/troubleshooting. -->\n\n"
        .to_owned();
    let areas = areas().map(|(title, samples)| (title, by_code(samples)));
    for (title, sections) in &areas {
        let anchor = title.to_lowercase().replace(' ', "-");
        writeln!(text, "- [{title}](#{anchor})").unwrap();
        for (code, _) in sections {
            writeln!(text, "  - [`{code}`](#{code}): {}", meaning(code)).unwrap();
        }
    }
    for (title, sections) in areas {
        writeln!(text, "\n## {title}").unwrap();
        for (code, samples) in sections {
            writeln!(text, "\n### `{code}`").unwrap();
            for Sample { reason, cause } in samples {
                writeln!(text, "\n    {reason}\n").unwrap();
                if !cause.is_empty() {
                    writeln!(text, "{cause}\n").unwrap();
                }
                writeln!(text, "**Fix:** {}", reason.fix()).unwrap();
            }
        }
    }
    text
}

/// What the code means, in a few words.
fn meaning(code: &str) -> &'static str {
    let known = MEANINGS.iter().find(|(known, _)| *known == code);
    let (_, meaning) = known.unwrap_or_else(|| {
        panic!("add the meaning of {code} to tests/it/troubleshooting/meanings.rs, then run `make docs`")
    });
    meaning
}

/// The samples of each code, in the order of the codes' first samples.
fn by_code(samples: Vec<Sample>) -> Vec<(&'static str, Vec<Sample>)> {
    let mut sections: Vec<(&str, Vec<Sample>)> = Vec::new();
    for sample in samples {
        let code = sample.reason.code();
        match sections.iter_mut().find(|(known, _)| *known == code) {
            Some((_, samples)) => samples.push(sample),
            None => sections.push((code, vec![sample])),
        }
    }
    sections
}

/// The name of a variant as serde writes it: a text, or the one key of an object.
fn name(variant: &Value) -> &str {
    let key = || variant.as_object()?.keys().next().map(String::as_str);
    variant.as_str().or_else(key).unwrap_or_default()
}

/// The names of an enum's variants, which its `Deserialize` passes to the deserializer.
fn variants<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut names = VariantNames(&[]);
    let _ = T::deserialize(&mut names);
    names.0
}

struct VariantNames(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut VariantNames {
    type Error = Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0 = variants;
        Err(Error::custom("only the names are wanted"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not an enum"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
