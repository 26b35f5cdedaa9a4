//! The formats of the files that variables come from.

use std::collections::BTreeMap;

use registry_agent::domain::declarations::file_format::{Format, Parsed, parse};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    file: String,
    text: String,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    problem: Option<String>,
    #[serde(default)]
    malformed: bool,
}

fn format_of(file: &str) -> Format {
    match file {
        ".env-secrets" => Format::Base64Lines,
        ".user-secrets.json" => Format::JsonArray,
        ".env" => Format::EnvLines,
        "/etc/environment" => Format::PamLines,
        _ => Format::JsonObject,
    }
}

fn shown(parsed: &Parsed) -> BTreeMap<String, String> {
    let pair = |(name, value): (&String, &registry_agent::domain::credentials::secret::Secret)| {
        (name.clone(), value.reveal().to_owned())
    };
    parsed.variables.iter().map(pair).collect()
}

#[test]
fn each_file_of_the_table_provides_its_variables() {
    let table: Table =
        serde_json::from_str(include_str!("../fixtures/codespaces.json")).expect("a table");
    for case in table.cases {
        let parsed = parse(format_of(&case.file), case.text.as_bytes());
        if case.malformed {
            let message = parsed.expect_err(&case.text).to_string();
            assert!(!message.contains("CONTAINER"), "a text of the file is shown: {message}");
            continue;
        }
        let parsed = parsed.expect(&case.text);
        assert_eq!(shown(&parsed), case.variables, "{}", case.text);
        assert_eq!(parsed.refused, Vec::from_iter(case.problem), "{}", case.text);
    }
}

/// File, bytes, the variables as `NAME=value`, or `malformed`.
type Row = (&'static str, &'static [u8], Result<&'static [&'static str], ()>);

const ROWS: &[Row] = &[
    // A byte order mark, and line ends of Windows.
    ("/etc/environment", b"\xef\xbb\xbfA=1\r\nB=\"2\"\r\n", Ok(&["A=1", "B=2"])),
    (".env", b"\xef\xbb\xbfA=1\r\nB=\"2\"\r\n", Ok(&["A=1", "B=2"])),
    (".env-secrets", b"\xef\xbb\xbfA=eA==\r\nB=eQ==\r\n", Ok(&["A=x", "B=y"])),
    ("x.json", b"\xef\xbb\xbf{\"A\":\"1\"}\r\n", Ok(&["A=1"])),
    // An empty file says nothing, but no JSON is half of one.
    (".env", b"", Ok(&[])),
    (".env-secrets", b"", Ok(&[])),
    ("x.json", b"", Err(())),
    (".user-secrets.json", b"", Err(())),
    // Of two of one name the last counts.
    (".env", b"A=1\nA=2\n", Ok(&["A=2"])),
    ("x.json", b"{\"A\":\"1\",\"A\":\"2\"}", Ok(&["A=2"])),
    // What is no text is passed over, however deep it is.
    ("x.json", b"{\"A\":{\"b\":[1,{}]},\"B\":null,\"C\":true,\"D\":-1.5,\"E\":\"e\"}", Ok(&["E=e"])),
    ("x.json", b"[\"A\"]", Err(())),
    ("x.json", b"{\"A\":\"1\"} x", Err(())),
    (".user-secrets.json", b"[1,null,{\"type\":\"EnvironmentVariable\",\"name\":\"A\",\"value\":\"1\",\"x\":2},{\"name\":\"B\",\"value\":\"2\"}]", Ok(&["A=1"])),
    (".user-secrets.json", b"{}", Err(())),
    // Base64 without padding, with blanks, of the other alphabet.
    (".env-secrets", b"A=eHh4eA\nB= eHg= \nC=Pz8_Pg\nD=Pz8/Pg==\nE=\n", Ok(&["A=xxxx", "B=xx", "C=???>", "D=???>", "E="])),
    // The half of a line.
    (".env-secrets", b"A=eA==\nB=eHh4e", Err(())),
    (".env-secrets", b"A=eA==\nB", Err(())),
    (".env", b"A=1\nB=\"2", Err(())),
    (".env", b"A=\"1\nB=2\n", Ok(&["B=2"])),
    // Bytes that are no text cost their own line only.
    (".env", b"A=\xff\nB=2\n", Ok(&["B=2"])),
    (".env-secrets", b"A=/w==\nB=eA==\n", Ok(&["B=x"])),
    ("x.json", b"{\"A\":\"\xff\"}", Err(())),
    // NUL is left for the declaration to refuse.
    (".env", b"A=1\x002\n", Ok(&["A=1\x002"])),
    // Quotes, escapes, comments.
    (".env", b"A='a \"b\" $c \\n'\nB=\"a \\\"b\\\" \\$c \\n\"  # why\nC=a#b # c\nD=\nE=''\n", Ok(&["A=a \"b\" $c \\n", "B=a \"b\" $c \\n", "C=a#b # c", "D=", "E="])),
    (".env", b"  export\tA = 1\nexport B=2\nexportC=3\n=4\n1_A=5\n a-b=6\n", Ok(&["1_A=5", "B=2", "exportC=3"])),
    (".env", b"A=\"1\" 2\nB=3\n", Ok(&["B=3"])),
    (".env", b"A='{\n  \"k\": 1\n}\n'\nB=2\n", Ok(&["A={\n  \"k\": 1\n}\n", "B=2"])),
    ("/etc/environment", b"# PATH\nPATH=\"/bin\"\nexport A='b c'\nB=\"x\\\"y\"\nC=\"open\nD=d\n", Ok(&["A=b c", "B=x\\\"y", "C=open", "D=d", "PATH=/bin"])),
];

#[test]
fn odd_files_provide_their_complete_values() {
    for (file, bytes, expected) in ROWS {
        let text = String::from_utf8_lossy(bytes);
        let parsed = parse(format_of(file), bytes);
        let Ok(lines) = expected else {
            assert!(parsed.is_err(), "{file}: {text:?} is taken for whole");
            continue;
        };
        let variables = shown(&parsed.unwrap_or_else(|fault| panic!("{file}: {text:?}: {fault}")));
        let shown: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(&shown, lines, "{file}: {text:?}");
    }
}

#[test]
fn a_value_of_48_kb_and_many_lines_comes_through_every_format() {
    let value = format!("{{\n{}}}", "  \"key\": \"äöü \\n\",\n".repeat(2800));
    assert!(value.len() > 48 * 1024);
    let encoded = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&value)
    };
    let json = serde_json::to_string(&value).expect("JSON");
    let item = r#"{"type":"EnvironmentVariable","name":"A","value":"#;
    for (format, text) in [
        (Format::JsonObject, format!("{{\"A\":{json}}}")),
        (Format::JsonArray, format!("[{item}{json}}}]")),
        (Format::Base64Lines, format!("A={encoded}\n")),
        (Format::EnvLines, format!("A='{value}'\n")),
    ] {
        let parsed = parse(format, text.as_bytes()).expect("a whole file");
        assert_eq!(parsed.variables["A"].reveal(), value, "{format:?}");
    }
}

#[test]
fn a_truncated_json_file_is_never_accepted() {
    let text = br#"{"A_CONTAINER_REGISTRY_PASSWORD":"abc","B":"d"}"#;
    for end in 0..text.len() {
        assert!(parse(Format::JsonObject, &text[..end]).is_err(), "{end}");
    }
}

#[test]
fn in_an_env_file_of_a_person_no_line_is_ignored_by_mistake() {
    let complete =
        "# registries\nset -a\n\nexport A=1\nA2='x'  # why\nexport A A2\na-b=2\n  B=3\nset +a\n";
    let parsed = parse(Format::EnvFile, complete.as_bytes()).expect("a whole file");
    assert_eq!(
        shown(&parsed).into_iter().collect::<Vec<_>>(),
        [
            ("A".to_owned(), "1".to_owned()),
            ("A2".to_owned(), "x".to_owned()),
            ("B".to_owned(), "3".to_owned()),
        ]
    );
    for (line, fault) in [
        ("B = s3cret", "line 2 is not NAME=value"),
        ("B: s3cret", "line 2 is not NAME=value"),
        ("B: s3cret=", "line 2 is not NAME=value"),
        ("B:s3cret=", "line 2 is not NAME=value"),
        ("export B: s3cret", "line 2 is not NAME=value"),
        ("export B = s3cret", "line 2 is not NAME=value"),
        ("s3cret", "line 2 is not NAME=value"),
        ("=s3cret", "line 2 is not NAME=value"),
        ("set B s3cret", "line 2 is not NAME=value"),
        ("B='s3cret", "line 2: the closing quote is missing"),
        ("B=\"s3cret\\\"", "line 2: the closing quote is missing"),
        ("B='s3cret'!", "line 2: text follows the closing quote"),
    ] {
        let text = format!("A=1\n{line}\nC=3\n");
        let message =
            parse(Format::EnvFile, text.as_bytes()).map(|_| ()).map_err(|it| it.to_string());
        assert_eq!(message, Err(fault.to_owned()), "{line}");
        assert!(parse(Format::EnvLines, text.as_bytes()).is_ok(), "{line}");
    }
}
