//! Values that were probably meant otherwise: quotation marks, schemes, AWS keys.

use registry_agent::domain::declarations::discovery::{PasswordFiles, discover};
use registry_agent::domain::declarations::source::{Source, SourceKind};

const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// The one problem of a set of these variables, as its code, its sentence and its fix.
fn problem(family: &str, variables: &[(&str, &str)]) -> (&'static str, String, String) {
    let named =
        |(field, value): &(&str, &str)| (format!("A_{family}_REGISTRY_{field}"), (*value).into());
    let variables = variables.iter().map(named).collect();
    let source = Source { kind: SourceKind::Pushed, name: "sync".to_owned(), variables };
    let found = discover(&[source], &PasswordFiles::new());
    let [problem] = &*found.problems else { panic!("{:#?}", found.problems) };
    let reason = &problem.reason;
    assert!(found.declarations.is_empty(), "{reason}");
    let texts = (reason.code(), reason.to_string(), reason.fix());
    assert!(!texts.1.contains(SECRET) && !texts.2.contains(SECRET), "{texts:?}");
    texts
}

#[test]
fn the_fix_of_a_mistyped_server_keeps_the_scheme_that_was_meant() {
    for (family, server, why, meant) in [
        ("CONTAINER", "http//r.test:5000", "://", "http://r.test:5000"),
        ("CONTAINER", "http:/127.0.0.1:5000", "://", "http://127.0.0.1:5000"),
        ("CONTAINER", "https//registry.test", "://", "https://registry.test"),
        ("CONTAINER", "htps://registry.test", "neither https nor http", "https://registry.test"),
        ("CONTAINER", "\"http://r.test:5000\"", "part of the value", "http://r.test:5000"),
        ("CONTAINER", "'registry.test'", "part of the value", "registry.test"),
        ("CONTAINER", "\u{201c}registry.test\u{201d}", "part of the value", "registry.test"),
        ("CONTAINER", "\u{2018}http//registry.test\u{2019}", "part of", "http://registry.test"),
        ("CONTAINER", "https://bob:pw@registry.test", "a user name", "https://registry.test"),
        ("PACKAGE", "http:/r.test/npm/", "://", "http://r.test/npm/"),
        ("PACKAGE", "htps://r.test/npm/", "neither https nor http", "https://r.test/npm/"),
        ("PACKAGE", "\u{201c}http://r.test/npm/\u{201d}", "part of", "http://r.test/npm/"),
        ("PACKAGE", "\"sparse+http://r.test/npm/\"", "part of", "http://r.test/npm/"),
    ] {
        let variables = [("SERVER", server), ("USER", "u"), ("PASSWORD", "p")];
        let (code, sentence, fix) = problem(family, &variables);
        assert_eq!(code, "server-not-understood", "{server}");
        assert!(sentence.contains(why), "{server}: {sentence}");
        let expected = format!("set A_{family}_REGISTRY_SERVER to {meant}, then ");
        assert!(fix.starts_with(&expected), "{server}: {fix}");
    }
    // A secret in the wrong variable is not repeated.
    let (_, sentence, fix) =
        problem("CONTAINER", &[("SERVER", "\"hunter2\""), ("USER", "u"), ("PASSWORD", "p")]);
    assert!(!sentence.contains("hunter2") && !fix.contains("hunter2"), "{fix}");
}

#[test]
fn quotation_marks_around_a_path_a_role_or_a_scheme_are_named() {
    for (family, server, field, value) in [
        ("CONTAINER", ECR, "ROLE_ARN", "\"arn:aws:iam::111122223333:role/x\""),
        ("CONTAINER", ECR, "ROLE_ARN", "\u{201c}arn:aws:iam::111122223333:role/x\u{201d}"),
        ("CONTAINER", "registry.test", "CA_FILE", "'/etc/ca.pem'"),
        ("PACKAGE", "https://r.test/npm/", "SCHEME", "\"bearer\""),
    ] {
        let variables = [("SERVER", server), ("USER", KEY), ("PASSWORD", SECRET), (field, value)];
        let (code, sentence, fix) = problem(family, &variables);
        let variable = format!("A_{family}_REGISTRY_{field}");
        assert_eq!(code, "value-quoted", "{sentence}");
        let ending = "is enclosed in quotation marks, which are part of it";
        assert_eq!(sentence, format!("{variable} from `sync` {ending}"));
        assert!(fix.starts_with(&format!("set {variable} to the value without the quot")), "{fix}");
    }
    let server = ("SERVER", "registry.test");
    let (code, ..) =
        problem("CONTAINER", &[server, ("USER", "u"), ("PASSWORD_FILE", "\"/run/password\"")]);
    assert_eq!(code, "value-quoted");
}

#[test]
fn aws_keys_in_the_wrong_variables_are_named_and_not_sent() {
    for (user, password, expected) in [
        (KEY, KEY, "aws-two-key-ids"),
        (KEY, "ASIAIOSFODNN7EXAMPLE", "aws-two-key-ids"),
        (SECRET, KEY, "aws-keys-swapped"),
        (SECRET, SECRET, "aws-secret-key-as-user"),
        (SECRET, "something", "aws-secret-key-as-user"),
    ] {
        for (family, server) in [
            ("CONTAINER", ECR),
            ("PACKAGE", "https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/npm/r/"),
        ] {
            let variables = [("SERVER", server), ("USER", user), ("PASSWORD", password)];
            let (code, ..) = problem(family, &variables);
            assert_eq!(code, expected, "{user} {server}");
        }
    }
}
