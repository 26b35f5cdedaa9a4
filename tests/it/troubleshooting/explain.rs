//! `registry-agent explain`: the document as plain text, the list of codes, and suggestions.

use std::process::Command;

use serde_json::Value;

use super::meanings::MEANINGS;
use super::{areas, by_code};
use crate::support::terminal::Terminal;
use crate::support::test_home::{TestHome, output_text, succeed};

fn explain(arguments: &[&str]) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_registry-agent");
    let output = Command::new(program).arg("explain").args(arguments).output().unwrap();
    (output.status.code(), output_text(&output))
}

#[test]
fn the_list_has_each_code_with_its_meaning_below_its_area() {
    let (status, list) = explain(&[]);
    assert_eq!(status, Some(0), "{list}");
    let mut lines = list.lines().filter(|line| !line.is_empty());
    for (area, samples) in areas() {
        assert_eq!(lines.next(), Some(area));
        for (code, _) in by_code(samples) {
            let line = lines.next().unwrap();
            let (_, meaning) = MEANINGS.iter().find(|(known, _)| *known == code).unwrap();
            let shown = line.strip_prefix("  ").and_then(|line| line.split_once(' ')).unwrap();
            assert_eq!((shown.0, shown.1.trim_start()), (code, *meaning), "{line}");
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn a_code_is_explained_without_markup_by_all_its_messages_causes_and_fixes() {
    for (area, samples) in areas() {
        for (code, samples) in by_code(samples) {
            let (status, text) = explain(&[code]);
            assert_eq!(status, Some(0), "{text}");
            let (_, meaning) = MEANINGS.iter().find(|(known, _)| *known == code).unwrap();
            assert!(text.starts_with(&format!("{code}: {meaning}\n")), "{text}");
            let json = succeed(
                Command::new(env!("CARGO_BIN_EXE_registry-agent"))
                    .args(["explain", "--json"])
                    .arg(code),
            );
            let json: Value = serde_json::from_slice(&json.stdout).unwrap();
            assert_eq!((&json["area"], &json["meaning"]), (&area.into(), &(*meaning).into()));
            assert_eq!(json["cases"].as_array().unwrap().len(), samples.len());
            for (sample, case) in samples.iter().zip(json["cases"].as_array().unwrap()) {
                let (message, fix) = (sample.reason.to_string(), sample.reason.fix());
                assert!(text.contains(&format!("\n{message}\n")), "{message}\n{text}");
                assert!(text.contains(&format!("\n  fix: {fix}\n")), "{fix}\n{text}");
                assert_eq!((&case["message"], &case["fix"]), (&message.into(), &fix.into()));
                assert_eq!(case["cause"], sample.cause);
                for paragraph in sample.cause.split("\n\n").filter(|it| !it.is_empty()) {
                    let is_sample = paragraph.starts_with("    ");
                    let line = format!("  {}", paragraph.replace('\n', " "));
                    let shown = if is_sample { paragraph } else { &line };
                    assert!(text.contains(&format!("\n{shown}\n")), "{shown}\n{text}");
                }
            }
            for markup in ["**", "###", "\n\n    "] {
                assert!(!text.contains(markup), "{markup:?} in {text}");
            }
        }
    }
}

#[test]
fn the_case_of_a_code_does_not_matter() {
    assert_eq!(explain(&["Refused"]), explain(&["refused"]));
}

#[test]
fn an_unknown_code_leads_to_those_that_are_like_it_or_about_it() {
    for (asked, suggested) in [
        ("connection-refuse", &["connection-refused"][..]),
        ("Refuse", &["refused", "refused-ghcr"]),
        ("proxy", &["proxy-login", "proxy-unreachable"]),
        ("certificate", &["certificate-expired", "unknown-authority"]),
        ("rejects", &["refused", "fine-grained-token"]),
    ] {
        let (status, text) = explain(&[asked]);
        assert_eq!(status, Some(1), "{text}");
        for code in suggested {
            let is_listed = |line: &str| line.trim_start().split(' ').next() == Some(code);
            assert!(text.lines().any(is_listed), "{asked}: {code} in {text}");
        }
    }
    let (status, text) = explain(&["NOPE"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("NOPE") && text.contains("`registry-agent explain` lists"), "{text}");
}

#[test]
fn a_terminal_gets_lines_that_fit_and_bold_messages_unless_it_wants_no_colour() {
    let home = TestHome::new();
    for (variables, is_bold) in [(&[][..], true), (&[("NO_COLOR", "1")], false)] {
        let terminal = Terminal::open(&home, (60, 60), variables);
        terminal.enter("registry-agent explain variable-missing; echo END");
        let screen = terminal.wait_for("the end", |screen| screen.contains("\nEND"));
        for word in ["ACME_CONTAINER_REGISTRY_USERNAME", "registry-agent sync", "containerEnv"] {
            assert!(screen.contains(word), "{word} in\n{screen}");
        }
        let colored = terminal.colored_screen();
        assert_eq!(colored.contains("\x1b[1m"), is_bold, "{colored:?}");
    }
}
