//! Variables of one set that are spelled as if they belonged to two.

use registry_agent::domain::declarations::discovery::{PasswordFiles, discover};
use registry_agent::domain::declarations::source::{Source, SourceKind};

/// The problems of a push of these variables, each as `NAME: sentence`.
fn problems(lines: &[&str]) -> Vec<String> {
    let variables = lines.iter().map(|line| {
        let (name, value) = line.split_once('=').unwrap();
        (name.to_owned(), value.into())
    });
    let variables = variables.collect();
    let source = Source { kind: SourceKind::Pushed, name: "sync".to_owned(), variables };
    let found = discover(&[source], &PasswordFiles::new());
    let sentence = |it: &registry_agent::domain::reasons::problem::Problem| {
        format!("{}: {}", it.name, it.reason)
    };
    found.problems.iter().map(sentence).collect()
}

#[test]
fn the_halves_of_a_set_of_both_families_are_one_set_of_the_family_that_the_server_tells() {
    for (lines, missing, instead) in [
        (
            [
                "A_PACKAGE_REGISTRY_SERVER=registry.test:5000",
                "A_CONTAINER_REGISTRY_USER=u",
                "A_CONTAINER_REGISTRY_PASSWORD=p",
            ],
            "A_CONTAINER_REGISTRY_SERVER",
            "A_PACKAGE_REGISTRY_SERVER",
        ),
        (
            [
                "A_PACKAGE_REGISTRY_SERVER=https://nexus.test/repository/npm/",
                "A_PACKAGE_REGISTRY_USER=u",
                "A_CONTAINER_REGISTRY_PASSWORD=p",
            ],
            "A_PACKAGE_REGISTRY_PASSWORD",
            "A_CONTAINER_REGISTRY_PASSWORD",
        ),
        (
            [
                "A_CONTAINER_REGISTRY_SERVER=npm.pkg.github.com",
                "A_PACKAGE_REGISTRY_USER=u",
                "A_PACKAGE_REGISTRY_PASSWORD=p",
            ],
            "A_PACKAGE_REGISTRY_SERVER",
            "A_CONTAINER_REGISTRY_SERVER",
        ),
    ] {
        let expected = format!("A: {missing} is not set, but {instead} from `sync` is");
        assert_eq!(problems(&lines), [expected], "{lines:?}");
    }
}

#[test]
fn each_half_of_a_set_of_two_similar_names_names_the_other_half() {
    let found = problems(&[
        "ACME_CONTAINER_REGISTRY_SERVER=registry.test",
        "ACNE_CONTAINER_REGISTRY_USER=u",
        "ACNE_CONTAINER_REGISTRY_PASSWORD=p",
    ]);
    let expected = ["ACME", "ACME", "ACNE"].into_iter().zip(["USER", "PASSWORD", "SERVER"]);
    let expected = expected.map(|(name, field)| {
        let other = if name == "ACME" { "ACNE" } else { "ACME" };
        format!(
            "{name}: {name}_CONTAINER_REGISTRY_{field} is not set, but {other}_CONTAINER_REGISTRY_{field} from `sync` is"
        )
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[test]
fn sets_that_are_two_are_not_taken_for_one() {
    for lines in [
        // Numbered.
        &[
            "REG1_CONTAINER_REGISTRY_SERVER=one.test",
            "REG2_CONTAINER_REGISTRY_USER=u",
            "REG2_CONTAINER_REGISTRY_PASSWORD=p",
        ][..],
        // Short.
        &[
            "A_CONTAINER_REGISTRY_SERVER=one.test",
            "B_CONTAINER_REGISTRY_USER=u",
            "B_CONTAINER_REGISTRY_PASSWORD=p",
        ],
        // Both have a server.
        &[
            "ACME_CONTAINER_REGISTRY_SERVER=one.test",
            "ACNE_CONTAINER_REGISTRY_SERVER=two.test",
            "ACNE_CONTAINER_REGISTRY_PASSWORD=p",
        ],
        // Together they are not complete.
        &["ACME_CONTAINER_REGISTRY_SERVER=one.test", "ACNE_CONTAINER_REGISTRY_USER=u"],
        // One is complete, and one of packages beside it is not.
        &[
            "ACME_CONTAINER_REGISTRY_SERVER=one.test",
            "ACME_CONTAINER_REGISTRY_USER=u",
            "ACME_CONTAINER_REGISTRY_PASSWORD=p",
            "ACME_PACKAGE_REGISTRY_SERVER=https://nexus.test/npm/",
        ],
    ] {
        let found = problems(lines);
        assert!(!found.is_empty() && !found.iter().any(|it| it.contains("but")), "{found:#?}");
    }
}

#[test]
fn another_programs_name_beside_a_package_set_is_named() {
    let found =
        problems(&["NPM_PACKAGE_REGISTRY_PASSWORD=p", "NPM_REGISTRY_URL=https://x.test/npm/"]);
    let expected =
        "NPM: NPM_PACKAGE_REGISTRY_SERVER is not set, but NPM_REGISTRY_URL from `sync` is";
    assert_eq!(found, [expected]);
}
