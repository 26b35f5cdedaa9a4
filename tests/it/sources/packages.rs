//! Sets of package registries, and what `GITHUB_TOKEN` declares.

use super::discovery::{Case, declared, from_lines, names, problems};

/// The cases of package sets: `A_SERVER=x` stands for `A_PACKAGE_REGISTRY_SERVER=x`.
const PACKAGE_CASES: &[Case] = &[
    Case {
        about: "a user and a password",
        lines: &["A_SERVER=https://Nexus.test/npm", "A_USER=u", "A_PASSWORD=canary"],
        declared: &["A https://nexus.test/npm/ u"],
        problems: &[],
    },
    Case {
        about: "a token needs no user where it is sent as it is",
        lines: &["A_SERVER=https://nexus.test/npm", "A_PASSWORD=canary"],
        declared: &["A https://nexus.test/npm/ token"],
        problems: &[],
    },
    Case {
        about: "a personal access token of Azure needs one, unless it is sent as it is",
        lines: &[
            "A_SERVER=https://pkgs.dev.azure.com/org/",
            "A_PASSWORD=canary",
            "B_SERVER=https://pkgs.dev.azure.com/other/",
            "B_PASSWORD=canary",
            "B_SCHEME=bearer",
        ],
        declared: &["B https://pkgs.dev.azure.com/other/ token"],
        problems: &["A variable-missing: A_PACKAGE_REGISTRY_USER is not set"],
    },
    Case {
        about: "Basic needs a user",
        lines: &["A_SERVER=https://nexus.test/", "A_PASSWORD=canary", "A_SCHEME=basic"],
        declared: &[],
        problems: &["A variable-missing: A_PACKAGE_REGISTRY_USER is not set"],
    },
    Case {
        about: "a password is always needed, but for CodeArtifact",
        lines: &[
            "A_SERVER=https://nexus.test/",
            "A_USER=u",
            "B_SERVER=https://nexus.test/b/",
            "C_SERVER=https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/",
        ],
        declared: &[
            "C https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/ aws:chain",
        ],
        problems: &[
            "A variable-missing: A_PACKAGE_REGISTRY_PASSWORD is not set",
            "B variable-missing: B_PACKAGE_REGISTRY_PASSWORD is not set",
        ],
    },
    Case {
        about: "CodeArtifact takes keys, or a token of the user aws",
        lines: &[
            "A_SERVER=https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/npm/r/",
            "A_USER=AKIAEXAMPLE",
            "A_PASSWORD=canary",
            "B_SERVER=https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/pypi/r/",
            "B_USER=aws",
            "B_PASSWORD=canary",
            "B_ROLE_ARN=arn",
        ],
        declared: &[
            "A https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/npm/r/ aws:AKIAEXAMPLE",
            "B https://acme-111122223333.d.codeartifact.eu-west-1.amazonaws.com/pypi/r/ aws",
        ],
        problems: &[
            "B token-already: B_PACKAGE_REGISTRY_ROLE_ARN from `sync` is ignored: the user is aws",
        ],
    },
    Case {
        about: "two names for one URL, however it is written",
        lines: &[
            "A_SERVER=https://nexus.test/npm",
            "A_PASSWORD=canary",
            "B_SERVER=https://NEXUS.test:443/%6epm/",
            "B_PASSWORD=canary",
        ],
        declared: &["A https://nexus.test/npm/ token"],
        problems: &["B server-declared-twice: "],
    },
    Case {
        about: "values that cannot be used are named and not shown",
        lines: &[
            "A_SERVER=https://canary@nexus.test/",
            "A_PASSWORD=canary",
            "B_SERVER=https://nexus.test/b/",
            "B_PASSWORD=canary",
            "B_SCHEME=canary",
            "C_SERVER=https://nexus.test/c/",
            "C_PASSWORD=canary\ncanary",
            "D_SERVER=https://nexus.test/d/",
            "D_USER=u",
            "D_PASSWORD=canary\ncanary",
            "E_SERVER=",
            "E_PASSWORD=canary",
        ],
        declared: &["D https://nexus.test/d/ u"],
        problems: &[
            "A server-not-understood: A_PACKAGE_REGISTRY_SERVER from `sync` is not a registry server",
            "B scheme-not-known: B_PACKAGE_REGISTRY_SCHEME from `sync` must be bearer, basic or raw",
            "C value-refused: C_PACKAGE_REGISTRY_PASSWORD from `sync` contains a character that no HTTP",
            "E server-empty: E_PACKAGE_REGISTRY_SERVER from `sync` is empty",
        ],
    },
    Case {
        about: "variables that do not apply, and other spellings",
        lines: &[
            "A_SERVER=https://nexus.test/",
            "A_PASSWORD=canary",
            "A_PROFILE=p",
            "B_SERVER=https://nexus.test/b/",
            "B_TOKEN=canary",
        ],
        declared: &["A https://nexus.test/ token"],
        problems: &[
            "A only-for-ecr: A_PACKAGE_REGISTRY_PROFILE from `sync` is ignored: it applies only to AWS CodeArtifact",
            "B variable-missing: B_PACKAGE_REGISTRY_PASSWORD is not set, but B_PACKAGE_REGISTRY_TOKEN",
        ],
    },
    Case {
        about: "a name may have a set of each family",
        lines: &[
            "A_SERVER=https://nexus.test/",
            "A_PASSWORD=canary",
            "!A_CONTAINER_REGISTRY_SERVER=nexus.test",
            "!A_CONTAINER_REGISTRY_USER=u",
            "!A_CONTAINER_REGISTRY_PASSWORD=canary",
        ],
        declared: &["A nexus.test u", "A https://nexus.test/ token"],
        problems: &[],
    },
];

#[test]
fn package_sets_are_found_with_their_problems() {
    for case in PACKAGE_CASES {
        let of_packages = |line: &&str| match line.split_once('_') {
            Some((name, rest)) if !line.starts_with('!') => {
                format!("!{name}_PACKAGE_REGISTRY_{rest}")
            }
            _ => (*line).to_owned(),
        };
        let lines: Vec<String> = case.lines.iter().map(of_packages).collect();
        let found = from_lines(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(declared(&found), case.declared, "{}", case.about);
        let problems = problems(&found);
        assert_eq!(problems.len(), case.problems.len(), "{}: {problems:?}", case.about);
        for (problem, start) in problems.iter().zip(case.problems) {
            assert!(problem.starts_with(start), "{}: {problem}", case.about);
        }
    }
}

/// What `GITHUB_TOKEN` declares of packages, by this user.
fn ambient_packages(user: &str) -> Vec<String> {
    ["npm", "nuget", "rubygems"]
        .map(|format| format!("GITHUB_TOKEN https://{format}.pkg.github.com/ {user}"))
        .into()
}

#[test]
fn github_token_serves_github_only_where_nothing_else_declares_it() {
    let ambient = ["!GITHUB_TOKEN=canary\n", "!GITHUB_USER=octocat"];
    let all = [vec!["GITHUB_TOKEN ghcr.io octocat".to_owned()], ambient_packages("octocat")];
    assert_eq!(declared(&from_lines(&ambient)), all.concat());
    let nobody = from_lines(&["!GITHUB_TOKEN=canary"]);
    assert_eq!(names(&nobody), ["GITHUB_TOKEN"; 2]);
    assert_eq!(declared(&nobody)[1..], ambient_packages("x-access-token"));

    let set = ["Z_SERVER=ghcr.io", "Z_USER=z", "Z_PASSWORD=canary"];
    let found = declared(&from_lines(&[&ambient[..], &set].concat()));
    assert_eq!((found[0].as_str(), &found[1..]), ("Z ghcr.io z", &all[1][..]));
    let incomplete = from_lines(&[&ambient[..], &set[..2]].concat());
    assert_eq!(declared(&incomplete), all[1]);

    let set = [
        "!Z_PACKAGE_REGISTRY_SERVER=https://npm.pkg.github.com",
        "!Z_PACKAGE_REGISTRY_PASSWORD=canary",
        "!Y_PACKAGE_REGISTRY_SERVER=https://nuget.pkg.github.com/acme/",
        "!Y_PACKAGE_REGISTRY_USER=y",
        "!Y_PACKAGE_REGISTRY_PASSWORD=canary",
    ];
    let found = declared(&from_lines(&[&ambient[..], &set].concat()));
    assert_eq!(
        found[..2],
        ["Y https://nuget.pkg.github.com/acme/ y", "Z https://npm.pkg.github.com/ token"]
    );
    // The token still serves what is not below the declared URL.
    assert_eq!(found[3..], all[1][1..]);

    let odd = from_lines(&["!GITHUB_TOKEN=canary\ncanary"]);
    assert_eq!((odd.declarations.len(), odd.problems.len()), (0, 0));
}
