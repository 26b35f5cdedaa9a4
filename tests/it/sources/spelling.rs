//! Variables of one set that are spelled as if they belonged to two.

use registry_agent::domain::declarations::discovery::{Discovery, PasswordFiles, discover};
use registry_agent::domain::declarations::source::{Source, SourceKind};
use registry_agent::domain::reasons::problem::Problem;

use super::discovery::{from_lines, names, problems as problems_of};

/// What a push of these variables declares.
fn discovery(lines: impl IntoIterator<Item = String>) -> Discovery {
    let variables = lines.into_iter().map(|line| {
        let (name, value) = line.split_once('=').unwrap();
        (name.to_owned(), value.into())
    });
    let variables = variables.collect();
    let source = Source { kind: SourceKind::Pushed, name: "sync".to_owned(), variables };
    discover(&[source], &PasswordFiles::new())
}

/// The problems of a push of these variables, each as `NAME: sentence`.
fn problems(lines: &[&str]) -> Vec<String> {
    let found = discovery(lines.iter().map(|it| (*it).to_owned()));
    found.problems.iter().map(|it| format!("{}: {}", it.name, it.reason)).collect()
}

/// Variables of one set under several names, the one problem and its fix, in the notation of `lines`.
struct Split {
    lines: &'static [&'static str],
    renamed: &'static [(&'static str, &'static str)],
    rest: &'static [&'static str],
}

/// `C` and `P` stand for the two families.
fn whole(short: &str) -> String {
    short.replace("_C_", "_CONTAINER_REGISTRY_").replace("_P_", "_PACKAGE_REGISTRY_")
}

const SPLITS: &[Split] = &[
    // Two names, whichever half is the smaller one.
    Split {
        lines: &["ACME_C_SERVER=registry.test", "ACME_C_USER=u", "ACNE_C_PASSWORD=p"],
        renamed: &[("ACNE_C_PASSWORD", "ACME_C_PASSWORD")],
        rest: &["ACME_C_SERVER", "ACME_C_USER"],
    },
    Split {
        lines: &["ACME_C_SERVER=registry.test", "ACNE_C_USER=u", "ACNE_C_PASSWORD=p"],
        renamed: &[("ACME_C_SERVER", "ACNE_C_SERVER")],
        rest: &["ACNE_C_USER", "ACNE_C_PASSWORD"],
    },
    Split {
        lines: &["ACME_C_SERVER=registry.test", "ACNE_C_USER=u", "ACME_C_PASSWORD=p"],
        renamed: &[("ACNE_C_USER", "ACME_C_USER")],
        rest: &["ACME_C_SERVER", "ACME_C_PASSWORD"],
    },
    // A file holds a password as well, and the other variables of the half move with it.
    Split {
        lines: &[
            "ACME_C_SERVER=registry.test",
            "ACME_C_USER=u",
            "ACMEE_C_PASSWORD_FILE=/run/p",
            "ACMEE_C_CA_FILE=/run/ca",
        ],
        renamed: &[
            ("ACMEE_C_PASSWORD_FILE", "ACME_C_PASSWORD_FILE"),
            ("ACMEE_C_CA_FILE", "ACME_C_CA_FILE"),
        ],
        rest: &["ACME_C_SERVER", "ACME_C_USER"],
    },
    // In another case.
    Split {
        lines: &["ACME_C_SERVER=registry.test", "Acme_C_USER=u", "Acme_C_PASSWORD=p"],
        renamed: &[("ACME_C_SERVER", "Acme_C_SERVER")],
        rest: &["Acme_C_USER", "Acme_C_PASSWORD"],
    },
    Split {
        lines: &["ACME_C_SERVER=registry.test", "acne_C_USER=u", "ACME_C_PASSWORD=p"],
        renamed: &[("acne_C_USER", "ACME_C_USER")],
        rest: &["ACME_C_SERVER", "ACME_C_PASSWORD"],
    },
    // Three names have no majority.
    Split {
        lines: &["ACMF_C_SERVER=registry.test", "ACME_C_USER=u", "ACNE_C_PASSWORD=p"],
        renamed: &[("ACMF_C_SERVER", "ACME_C_SERVER"), ("ACNE_C_PASSWORD", "ACME_C_PASSWORD")],
        rest: &["ACME_C_USER"],
    },
    // Two families: the server tells, or else the majority.
    Split {
        lines: &["A_P_SERVER=registry.test:5000", "A_C_USER=u", "A_C_PASSWORD=p"],
        renamed: &[("A_P_SERVER", "A_C_SERVER")],
        rest: &["A_C_USER", "A_C_PASSWORD"],
    },
    Split {
        lines: &["A_P_SERVER=https://registry.test/", "A_P_USER=u", "A_C_PASSWORD=p"],
        renamed: &[("A_C_PASSWORD", "A_P_PASSWORD")],
        rest: &["A_P_SERVER", "A_P_USER"],
    },
    Split {
        lines: &["A_P_SERVER=ghcr.io", "A_P_USER=u", "A_C_PASSWORD=p"],
        renamed: &[("A_P_SERVER", "A_C_SERVER"), ("A_P_USER", "A_C_USER")],
        rest: &["A_C_PASSWORD"],
    },
    Split {
        lines: &["A_P_SERVER=https://nexus.test/repository/npm/", "A_P_USER=u", "A_C_PASSWORD=p"],
        renamed: &[("A_C_PASSWORD", "A_P_PASSWORD")],
        rest: &["A_P_SERVER", "A_P_USER"],
    },
    Split {
        lines: &["A_P_SERVER=https://nexus.test/repository/npm/", "A_C_PASSWORD=p"],
        renamed: &[("A_C_PASSWORD", "A_P_PASSWORD")],
        rest: &["A_P_SERVER"],
    },
    Split {
        lines: &["A_C_SERVER=npm.pkg.github.com", "A_P_USER=u", "A_P_PASSWORD=p"],
        renamed: &[("A_C_SERVER", "A_P_SERVER")],
        rest: &["A_P_USER", "A_P_PASSWORD"],
    },
    // Two families and two names.
    Split {
        lines: &["ACME_P_SERVER=registry.test", "ACME_C_USER=u", "ACNE_C_PASSWORD=p"],
        renamed: &[("ACME_P_SERVER", "ACME_C_SERVER"), ("ACNE_C_PASSWORD", "ACME_C_PASSWORD")],
        rest: &["ACME_C_USER"],
    },
    // Other words in one set.
    Split {
        lines: &["A_C_SERVER=registry.test", "A_C_USERNAME=u", "A_C_TOKEN=p"],
        renamed: &[("A_C_USERNAME", "A_C_USER"), ("A_C_TOKEN", "A_C_PASSWORD")],
        rest: &["A_C_SERVER"],
    },
    // A complete set beside it is another one.
    Split {
        lines: &[
            "ACME_C_SERVER=registry.test",
            "ACME_C_USER=u",
            "ACNE_C_PASSWORD=p",
            "ACMX_C_SERVER=other.test",
            "ACMX_C_USER=u",
            "ACMX_C_PASSWORD=p",
        ],
        renamed: &[("ACNE_C_PASSWORD", "ACME_C_PASSWORD")],
        rest: &["ACME_C_SERVER", "ACME_C_USER"],
    },
    // A server that AWS keys were meant for.
    Split {
        lines: &[
            "ACME_C_SERVER=111122223333.dkr.ecr.eu-west-1.amazonaws.com",
            "ACNE_C_USER=u",
            "ACNE_C_PASSWORD=p",
        ],
        renamed: &[("ACME_C_SERVER", "ACNE_C_SERVER")],
        rest: &["ACNE_C_USER", "ACNE_C_PASSWORD"],
    },
];

#[test]
fn a_set_under_several_names_is_one_problem_with_one_line_that_renames_the_smaller_part() {
    for Split { lines, renamed, rest } in SPLITS {
        let found = discovery(lines.iter().map(|it| whole(it)));
        let sentence = |it: &Problem| (it.reason.to_string(), it.reason.fix());
        let problems: Vec<_> = found.problems.iter().map(sentence).collect();
        let [(sentence, fix)] = &*problems else { panic!("{lines:?}: {problems:#?}") };
        let names = |names: Vec<&str>| {
            let names: Vec<String> =
                names.into_iter().map(|it| format!("{} from `sync`", whole(it))).collect();
            match &*names {
                [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
                names => names.concat(),
            }
        };
        let others = names(renamed.iter().map(|(other, _)| *other).collect());
        let (is, its) = if renamed.len() == 1 { ("is", "its") } else { ("are", "their") };
        let rest = names(rest.to_vec());
        let expected =
            format!("{others} {is} named differently from the rest of {its} set: {rest}");
        assert_eq!(*sentence, expected, "{lines:?}");
        let export =
            renamed.iter().map(|(other, read)| format!(" {}=\"${}\"", whole(read), whole(other)));
        let export = format!("`export{} && ", export.collect::<String>());
        assert!(fix.contains(&export), "{export} is not in {fix}");
    }
}

#[test]
fn a_server_that_aws_serves_without_keys_keeps_its_login_beside_half_a_set() {
    let lines = SPLITS.last().unwrap().lines;
    let found = discovery(lines.iter().map(|it| whole(it)));
    let names: Vec<&str> = found.declarations.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["ACME"]);
}

#[test]
fn the_variables_of_a_split_set_are_renamed_where_each_is_set() {
    let source = |name: &str, variables: &[&str]| {
        let variables = variables.iter().map(|it| (whole(it), "registry.test".into())).collect();
        Source { kind: SourceKind::Pushed, name: name.to_owned(), variables }
    };
    let sources = [
        source("/srv/one.env", &["ACME_C_SERVER"]),
        source("/srv/two.env", &["ACNE_C_USER"]),
        source("sync", &["ACMF_C_PASSWORD"]),
    ];
    let found = discover(&sources, &PasswordFiles::new());
    let fixes: Vec<String> = found.problems.iter().map(|it| it.reason.fix()).collect();
    let expected = "rename ACNE_C_USER to ACME_C_USER in /srv/two.env; rename ACMF_C_PASSWORD to \
                    ACME_C_PASSWORD; until then, run `export ACME_C_PASSWORD=\"$ACMF_C_PASSWORD\" && \
                    unset ACMF_C_PASSWORD && registry-agent sync` in a shell that has it";
    assert_eq!(fixes, [whole(expected)]);
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
        // Either of two may be the other half.
        &[
            "ACME_CONTAINER_REGISTRY_SERVER=one.test",
            "ACNE_CONTAINER_REGISTRY_USER=u",
            "ACNE_CONTAINER_REGISTRY_PASSWORD=p",
            "ACXE_CONTAINER_REGISTRY_USER=u",
            "ACXE_CONTAINER_REGISTRY_PASSWORD=p",
        ],
        // One is complete, and one of a similar name is not.
        &[
            "ACME_CONTAINER_REGISTRY_SERVER=one.test",
            "ACME_CONTAINER_REGISTRY_USER=u",
            "ACME_CONTAINER_REGISTRY_PASSWORD=p",
            "ACNE_CONTAINER_REGISTRY_USER=u",
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
        let is_guess = |it: &String| it.contains("but") || it.contains("differently");
        assert!(!found.is_empty() && !found.iter().any(is_guess), "{found:#?}");
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

#[test]
fn a_misspelt_variable_is_named_with_its_correct_name() {
    let cases: [(&[&str], &str); 8] = [
        (
            &["A_SERVER=a.test", "A_USER=u", "A_TOKEN=canary"],
            "rename A_CONTAINER_REGISTRY_TOKEN to A_CONTAINER_REGISTRY_PASSWORD",
        ),
        (
            &["A_URL=a.test", "A_USER=u", "A_PASSWORD=canary"],
            "rename A_CONTAINER_REGISTRY_URL to A_CONTAINER_REGISTRY_SERVER",
        ),
        (
            &["A_SERVER=a.test", "A_USERNAME=u", "A_PASSWORD=canary"],
            "rename A_CONTAINER_REGISTRY_USERNAME to A_CONTAINER_REGISTRY_USER",
        ),
        (
            &["A_SERVER=a.test", "A_USER=u", "A_PASS=canary"],
            "rename A_CONTAINER_REGISTRY_PASS to A_CONTAINER_REGISTRY_PASSWORD",
        ),
        (
            &["A_SERVER=a.test", "A_USER=u", "!A_container_registry_password=canary"],
            "rename A_container_registry_password to A_CONTAINER_REGISTRY_PASSWORD",
        ),
        (
            &["A_SERVER=a.test", "A_USER=u", "a_PASSWORD=canary"],
            "rename a_CONTAINER_REGISTRY_PASSWORD to A_CONTAINER_REGISTRY_PASSWORD",
        ),
        (
            &["A_SEVER=a.test", "A_USER=u", "A_PASSWORD=canary"],
            "rename A_CONTAINER_REGISTRY_SEVER to A_CONTAINER_REGISTRY_SERVER",
        ),
        (
            &["A_SERVER=a.test", "A_USER=u", "!A_CONTAINER_REGISTY_PASSWORD=canary"],
            "rename A_CONTAINER_REGISTY_PASSWORD to A_CONTAINER_REGISTRY_PASSWORD",
        ),
    ];
    for (lines, fix) in cases {
        let found = from_lines(lines);
        let fixes: Vec<String> = found.problems.iter().map(|it| it.reason.fix()).collect();
        assert_eq!(fixes.len(), 1, "{fixes:?}");
        assert!(fixes[0].starts_with(fix), "{fixes:?}");
        assert_eq!(names(&found), ["A"]);
    }
}

#[test]
fn a_set_of_misspellings_alone_is_a_problem_but_another_programs_variable_is_not() {
    let found = from_lines(&["A_URL=a.test", "A_USERNAME=u", "A_TOKEN=canary"]);
    let [problem] = &*problems_of(&found) else { panic!("{:?}", found.problems) };
    assert!(problem.starts_with("A variables-misnamed: A_CONTAINER_REGISTRY_URL, "), "{problem}");
    let found = from_lines(&[
        "!acr_container_registry_server=a.test",
        "!acr_container_registry_user=u",
        "!acr_container_registry_password=canary",
    ]);
    let [problem] = &*problems_of(&found) else { panic!("{:?}", found.problems) };
    assert!(problem.contains("but the agent reads ACR_CONTAINER_REGISTRY_SERVER"), "{problem}");
    let found = from_lines(&["!AZURE_CONTAINER_REGISTRY_ENDPOINT=x.azurecr.io"]);
    assert_eq!((found.problems.len(), found.sets.len()), (0, 0));
}
