//! From sources to declarations and problems.

use std::path::{Path, PathBuf};

use registry_agent::domain::credentials::secret::Secret;
use registry_agent::domain::declarations::declaration::Identity;
use registry_agent::domain::declarations::discovery::{Discovery, PasswordFiles, discover};
use registry_agent::domain::declarations::source::{Source, SourceKind};
use registry_agent::domain::reasons::SourceReason;

const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
/// Is in every value that no message may show.
const CANARY: &str = "canary";

/// `A_SERVER=x` stands for `A_CONTAINER_REGISTRY_SERVER=x`; a name with `!` in front is taken as is.
pub(super) fn source(kind: SourceKind, name: &str, lines: &[&str]) -> Source {
    let variables = lines.iter().map(|line| {
        let (variable, value) = line.split_once('=').unwrap();
        let whole = match (variable.strip_prefix('!'), variable.split_once('_')) {
            (Some(whole), _) => whole.to_owned(),
            (None, Some((set, suffix))) => format!("{set}_CONTAINER_REGISTRY_{suffix}"),
            (None, None) => variable.to_owned(),
        };
        (whole, Secret::new(value))
    });
    Source { kind, name: name.to_owned(), variables: variables.collect() }
}

pub(super) fn from_lines(lines: &[&str]) -> Discovery {
    discover(&[source(SourceKind::Pushed, "sync", lines)], &PasswordFiles::new())
}

/// Each declaration as `NAME server user`, the AWS ones as `NAME server aws:KEY`.
pub(super) fn declared(found: &Discovery) -> Vec<String> {
    let one = |declaration: &registry_agent::domain::declarations::declaration::Declaration| {
        let who = match &declaration.identity {
            Identity::Password { user, .. } => user.clone(),
            Identity::Token(_) => "token".to_owned(),
            Identity::Aws(aws) => {
                let key = aws.keys.as_ref().map_or("chain", |keys| &keys.access_key_id);
                format!("aws:{key}")
            }
        };
        format!("{} {} {who}", declaration.name, declaration.server)
    };
    found.declarations.iter().map(one).collect()
}

pub(super) fn names(found: &Discovery) -> Vec<&str> {
    found.sets.iter().map(|(_, name)| name.as_str()).collect()
}

/// Each problem as `NAME code: sentence`.
pub(super) fn problems(found: &Discovery) -> Vec<String> {
    let one = |problem: &registry_agent::domain::reasons::problem::Problem| {
        assert!(!problem.reason.fix().is_empty());
        format!("{} {}: {}", problem.name, problem.reason.code(), problem.reason)
    };
    let all: Vec<String> = found.problems.iter().map(one).collect();
    let fixes: Vec<String> = found.problems.iter().map(|it| it.reason.fix()).collect();
    for text in all.iter().chain(&fixes) {
        assert!(!text.contains(CANARY), "a value is shown: {text}");
        assert!(!text.contains(char::is_control), "a control character is shown: {text:?}");
    }
    all
}

pub(super) struct Case {
    pub(super) about: &'static str,
    pub(super) lines: &'static [&'static str],
    pub(super) declared: &'static [&'static str],
    /// Beginnings of the problems, in order.
    pub(super) problems: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        about: "a complete set",
        lines: &["A_SERVER=MyCompany.azurecr.io", "A_USER=u", "A_PASSWORD=canary"],
        declared: &["A mycompany.azurecr.io u"],
        problems: &[],
    },
    Case {
        about: "names are case-sensitive, and digits and underscores are letters",
        lines: &[
            "!a_1_CONTAINER_REGISTRY_SERVER=one.test",
            "!a_1_CONTAINER_REGISTRY_USER=u",
            "!a_1_CONTAINER_REGISTRY_PASSWORD=canary",
            "!A_1_CONTAINER_REGISTRY_SERVER=two.test",
            "!A_1_CONTAINER_REGISTRY_USER=U",
            "!A_1_CONTAINER_REGISTRY_PASSWORD=canary",
        ],
        declared: &["A_1 two.test U", "a_1 one.test u"],
        problems: &[],
    },
    Case {
        about: "each variable that is missing is named",
        lines: &["A_SERVER=a.test", "B_USER=u", "C_PASSWORD=canary"],
        declared: &[],
        problems: &[
            "A variable-missing: A_CONTAINER_REGISTRY_USER is not set; A_CONTAINER_REGISTRY_SERVER from `sync` is set",
            "A variable-missing: A_CONTAINER_REGISTRY_PASSWORD is not set",
            "B variable-missing: B_CONTAINER_REGISTRY_SERVER is not set",
            "B variable-missing: B_CONTAINER_REGISTRY_PASSWORD is not set",
            "C variable-missing: C_CONTAINER_REGISTRY_SERVER is not set",
            "C variable-missing: C_CONTAINER_REGISTRY_USER is not set",
        ],
    },
    Case {
        about: "an empty server is never Docker Hub",
        lines: &["A_SERVER=", "A_USER=u", "A_PASSWORD=canary", "B_SERVER=\n", "B_USER=u"],
        declared: &[],
        problems: &[
            "A server-empty: A_CONTAINER_REGISTRY_SERVER from `sync` is empty",
            "B server-empty: B_CONTAINER_REGISTRY_SERVER from `sync` is empty",
            "B variable-missing: B_CONTAINER_REGISTRY_PASSWORD is not set",
        ],
    },
    Case {
        about: "blanks are no server either",
        lines: &["A_SERVER=   ", "A_USER=u", "A_PASSWORD=canary"],
        declared: &[],
        problems: &["A server-empty: "],
    },
    Case {
        about: "an empty server alone is nothing, and so are other empty variables",
        lines: &["A_SERVER=", "B_PASSWORD=", "B_USER="],
        declared: &[],
        problems: &[],
    },
    Case {
        about: "one line end is dropped from each value",
        lines: &["A_SERVER=a.test\n", "A_USER=u\r\n", "A_PASSWORD=canary\n"],
        declared: &["A a.test u"],
        problems: &[],
    },
    Case {
        about: "characters that no registry could be given",
        lines: &[
            "A_SERVER=a.test",
            "A_USER=u\ncanary",
            "A_PASSWORD=canary",
            "B_SERVER=b.test",
            "B_USER=canary:u",
            "B_PASSWORD=canary",
            "C_SERVER=c.test",
            "C_USER=u",
            "C_PASSWORD=canary\0",
            "D_SERVER=d.test\ncanary.test",
            "D_USER=u",
            "D_PASSWORD=canary",
        ],
        declared: &[],
        problems: &[
            "A value-refused: A_CONTAINER_REGISTRY_USER from `sync` contains a control character",
            "B value-refused: B_CONTAINER_REGISTRY_USER from `sync` contains a colon",
            "C value-refused: C_CONTAINER_REGISTRY_PASSWORD from `sync` contains a NUL character",
            "D value-refused: D_CONTAINER_REGISTRY_SERVER from `sync` contains a control character",
        ],
    },
    Case {
        about: "a server that is none",
        lines: &["A_SERVER=https://canary:canary@a.test", "A_USER=u", "A_PASSWORD=canary"],
        declared: &[],
        problems: &[
            "A server-not-understood: A_CONTAINER_REGISTRY_SERVER from `sync` is not a registry",
        ],
    },
    Case {
        about: "a bad server does not hide the other gaps",
        lines: &["A_SERVER=ftp://a.test", "A_USER=u"],
        declared: &[],
        problems: &["A server-not-understood: ", "A variable-missing: A_CONTAINER_REGISTRY_PASS"],
    },
    Case {
        about: "two names for one server",
        lines: &[
            "B_SERVER=ghcr.io",
            "B_USER=b",
            "B_PASSWORD=canary",
            "A_SERVER=https://GHCR.io/",
            "A_USER=a",
            "A_PASSWORD=canary",
        ],
        declared: &["A ghcr.io a"],
        problems: &[
            "B server-declared-twice: B_CONTAINER_REGISTRY_SERVER from `sync` is ignored: A_CONTAINER_REGISTRY_SERVER from `sync` declares the same server, ghcr.io",
        ],
    },
    Case {
        about: "an incomplete set leaves the server to the next name",
        lines: &["A_SERVER=x.test", "A_USER=a", "B_SERVER=x.test", "B_USER=b", "B_PASSWORD=canary"],
        declared: &["B x.test b"],
        problems: &["A variable-missing: A_CONTAINER_REGISTRY_PASSWORD"],
    },
    Case {
        about: "a path is dropped and mentioned",
        lines: &["A_SERVER=ghcr.io/my-org", "A_USER=u", "A_PASSWORD=canary"],
        declared: &["A ghcr.io u"],
        problems: &["A path-ignored: A_CONTAINER_REGISTRY_SERVER from `sync` contains the path"],
    },
    Case {
        about: "AWS variables for a registry that is not AWS's",
        lines: &["A_SERVER=a.test", "A_USER=u", "A_PASSWORD=canary", "A_ROLE_ARN=canary"],
        declared: &["A a.test u"],
        problems: &["A only-for-ecr: A_CONTAINER_REGISTRY_ROLE_ARN"],
    },
    Case {
        about: "a name with a character that none may have",
        lines: &["!a-b_CONTAINER_REGISTRY_SERVER=a.test"],
        declared: &[],
        problems: &["a-b name-refused: a-b_CONTAINER_REGISTRY_SERVER"],
    },
    Case {
        about: "a path that depends on where one stands",
        lines: &["A_SERVER=a.test", "A_USER=u", "A_PASSWORD_FILE=canary/file"],
        declared: &[],
        problems: &["A path-relative: A_CONTAINER_REGISTRY_PASSWORD_FILE"],
    },
    Case {
        about: "two spellings of one variable",
        lines: &["A_SERVER=a.test", "A_USER=u", "A_USERNAME=canary", "A_PASSWORD=canary"],
        declared: &["A a.test u"],
        problems: &[
            "A spelling-ignored: A_CONTAINER_REGISTRY_USERNAME from `sync` is ignored, because A_CONTAINER_REGISTRY_USER is set",
        ],
    },
    Case {
        about: "quotation marks and white space around a value",
        lines: &[
            "A_SERVER=a.test",
            "A_USER=u",
            "A_PASSWORD='canary'",
            "B_SERVER=b.test",
            "B_USER=u",
            "B_PASSWORD=canary ",
            "C_SERVER=c.test",
            "C_USER=u",
            "C_PASSWORD=\"",
            "D_SERVER=d.test",
            "D_USER=u ",
            "D_PASSWORD=canary\n\n",
        ],
        declared: &["A a.test u", "B b.test u", "C c.test u", "D d.test u "],
        problems: &[
            "A value-quoted: A_CONTAINER_REGISTRY_PASSWORD from `sync` is enclosed in",
            "B value-white-space: B_CONTAINER_REGISTRY_PASSWORD from `sync` ends with white",
            "D value-white-space: D_CONTAINER_REGISTRY_PASSWORD from `sync` ends with white",
            "D value-white-space: D_CONTAINER_REGISTRY_USER from `sync` ends with white",
        ],
    },
    Case {
        about: "a password and a password file",
        lines: &["A_SERVER=a.test", "A_USER=u", "A_PASSWORD=canary", "A_PASSWORD_FILE=/canary"],
        declared: &["A a.test u"],
        problems: &["A two-passwords: "],
    },
];

#[test]
fn each_set_becomes_a_login_or_a_problem() {
    for case in CASES {
        let found = from_lines(case.lines);
        assert_eq!(declared(&found), case.declared, "{}", case.about);
        let problems = problems(&found);
        assert_eq!(problems.len(), case.problems.len(), "{}: {problems:#?}", case.about);
        for (problem, beginning) in problems.iter().zip(case.problems) {
            assert!(problem.starts_with(beginning), "{}: {problem}", case.about);
        }
    }
}

#[test]
fn ecr_accepts_keys_a_token_or_nothing_but_no_incomplete_set() {
    let server = format!("A_SERVER={ECR}");
    let cases: [(&[&str], &str, usize); 7] = [
        (&["A_USER=AKIA", "A_PASSWORD=canary"], "aws:AKIA", 0),
        (&["A_USER=ASIA", "A_PASSWORD=canary", "A_SESSION_TOKEN=canary"], "aws:ASIA", 0),
        (&["A_ROLE_ARN=arn:aws:iam::111122223333:role/pull", "A_PROFILE=p"], "aws:chain", 0),
        (&["A_USER=AWS", "A_PASSWORD=canary"], "AWS", 0),
        (&["A_USER=AWS", "A_PASSWORD=canary", "A_ROLE_ARN=canary"], "AWS", 1),
        (&["A_USER=AKIA"], "", 1),
        (&["A_SESSION_TOKEN=canary"], "", 2),
    ];
    for (lines, who, problem_count) in cases {
        let found = from_lines(&[&[server.as_str()], lines].concat());
        let expected: Vec<String> =
            if who.is_empty() { Vec::new() } else { vec![format!("A {ECR} {who}")] };
        assert_eq!(declared(&found), expected, "{lines:?}");
        assert_eq!(problems(&found).len(), problem_count, "{lines:?}");
    }
    assert_eq!(declared(&from_lines(&["P_SERVER=public.ecr.aws"])), ["P public.ecr.aws aws:chain"]);
}

#[test]
fn sources_are_merged_variable_by_variable() {
    let sources = [
        source(SourceKind::Environment, "start", &["A_SERVER=low.test", "A_USER=low"]),
        source(SourceKind::Configured, "/run/secrets", &["A_PASSWORD=canary"]),
        source(SourceKind::Pushed, "sync", &["A_SERVER=high.test", "A_USER="]),
        source(SourceKind::Codespaces, "/first", &["A_SERVER=\n"]),
    ];
    let found = discover(&sources, &PasswordFiles::new());
    assert_eq!(declared(&found), ["A high.test low"]);
    assert_eq!(found.declarations[0].source, "/run/secrets");
    assert_eq!(problems(&found), [""; 0]);
}

#[test]
fn a_password_file_is_requested_and_then_watched() {
    let lines = ["A_SERVER=a.test", "A_USER=u", "A_PASSWORD_FILE=/run/pw"];
    let sources = [source(SourceKind::Environment, "start", &lines)];
    let path = PathBuf::from("/run/pw");

    let unread = discover(&sources, &PasswordFiles::new());
    assert!(unread.password_files.contains(Path::new("/run/pw")));
    assert!(unread.declarations.is_empty() && unread.problems.is_empty());

    let read = discover(&sources, &PasswordFiles::from([(path.clone(), Ok("canary\n".into()))]));
    let Identity::Password { password, .. } = &read.declarations[0].identity else { panic!() };
    assert_eq!(password.reveal(), "canary");
    assert_eq!(read.declarations[0].source, "start");

    let fault = SourceReason::Unreadable {
        path: "/run/pw".to_owned(),
        fault: "no".to_owned(),
        remedy: None,
    };
    for file in [Err(fault), Ok(Secret::new("\n")), Ok(Secret::new("a\0canary"))] {
        let found = discover(&sources, &PasswordFiles::from([(path.clone(), file)]));
        assert!(found.declarations.is_empty());
        let problems = problems(&found);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("A_CONTAINER_REGISTRY_PASSWORD_FILE"), "{problems:?}");
    }
}
