//! Long values and many variables.

use registry_agent::domain::declarations::declaration::Identity;
use registry_agent::domain::declarations::discovery::{PasswordFiles, discover};
use registry_agent::domain::declarations::source::SourceKind;

use super::discovery::{from_lines, source};

#[test]
fn a_long_value_of_many_lines_stays_whole() {
    let key = format!("{{\n{}\n}}", "  \"k\": \"ä canary\",\n".repeat(2700));
    assert!(key.len() > 48 * 1024);
    let line = format!("A_PASSWORD={key}\n");
    let found = from_lines(&["A_SERVER=gcr.io", "A_USER=_json_key", &line]);
    let Identity::Password { password, .. } = &found.declarations[0].identity else { panic!() };
    assert_eq!(password.reveal(), key);
}

#[test]
fn ten_thousand_variables_with_a_thousand_sets_are_all_understood() {
    let mut lines: Vec<String> = (0..7000).map(|n| format!("!OTHER_{n}=canary")).collect();
    for n in 0..1000 {
        lines.push(format!("N{n}_SERVER=r{n}.example.com"));
        lines.push(format!("N{n}_USER=u{n}"));
        lines.push(format!("N{n}_PASSWORD=canary{n}"));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let sources = [source(SourceKind::Environment, "start", &lines)];
    let found = discover(&sources, &PasswordFiles::new());
    assert_eq!((found.declarations.len(), found.problems.len()), (1000, 0));
    for declaration in &found.declarations {
        let n = &declaration.name[1..];
        let Identity::Password { user, password } = &declaration.identity else { panic!() };
        assert_eq!(declaration.server.name(), format!("r{n}.example.com"));
        assert_eq!((user.as_str(), password.reveal()), (&*format!("u{n}"), &*format!("canary{n}")));
    }
}
