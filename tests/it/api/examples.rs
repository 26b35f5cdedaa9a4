//! The examples of `docs/api.md` respond as written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Deserializer, Value};

use super::limits::open_to_others;
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::{TestHome, output_text};

/// A command and what it prints.
struct Example {
    command: String,
    output: String,
}

/// The examples in ```` ```console ```` blocks: `$` begins a command.
fn examples(document: &str) -> Vec<Example> {
    let blocks = document.split("```console\n").skip(1);
    let blocks = blocks.map(|rest| rest.split_once("\n```").unwrap().0);
    blocks
        .flat_map(|block| block.split("$ ").filter(|part| part.starts_with(['c', 's'])))
        .map(|part| {
            let (command, output) = part.split_once('\n').unwrap();
            Example { command: command.to_owned(), output: output.trim_end().to_owned() }
        })
        .collect()
}

/// The JSON documents in the text without what differs each time; `None` for other text.
fn documents(text: &str) -> Option<Vec<Value>> {
    let documents: Result<Vec<Value>, _> = Deserializer::from_str(text).into_iter().collect();
    let mut documents = documents.ok()?;
    documents.iter_mut().for_each(without_variations);
    Some(documents)
}

fn without_variations(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // The docker configuration may be written before or after a login is ready.
            fields.remove("seq");
            fields.values_mut().for_each(without_variations);
        }
        Value::Array(items) => items.iter_mut().for_each(without_variations),
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => *value = Value::Null,
        _ => {}
    }
}

#[test]
fn each_example_of_the_api_document_responds_as_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let registry = Registry::start(&Auth::Htpasswd(&[("acr-user", "s3cret")]), None);
    let mut test_home = TestHome::new();
    test_home.declare("ACME", &registry.server(), ("acr-user", "s3cret"));
    for (suffix, value) in
        [("SERVER", "work.example.com"), ("USERNAME", "me"), ("PASSWORD", "secret")]
    {
        test_home.set(&format!("WORK_CONTAINER_REGISTRY_{suffix}"), value);
    }
    test_home.start();
    test_home.login("ACME");
    open_to_others(&test_home);
    let sudo = test_home.path("bin/sudo");
    let as_nobody = "#!/bin/sh\nshift 2\n\
                     exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"\n";
    fs::write(&sudo, as_nobody).unwrap();
    fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).unwrap();

    let document = fs::read_to_string(path).unwrap().replace("127.0.0.1:5050", &registry.server());
    let document = document.replace("127.0.0.1%3A5050", &registry.server().replace(':', "%3A"));
    let examples = examples(&document);
    assert!(examples.len() > 12, "the examples were not found");
    for Example { command, output } in examples {
        let mut shell = test_home.command("sh");
        shell.args(["-c", &command]).env("SOCK", test_home.path("agent.sock"));
        let printed = shell.output().unwrap();
        let text = output_text(&printed);
        match (documents(&text), documents(&output)) {
            (Some(printed), Some(written)) => assert_eq!(printed, written, "{command}"),
            _ => assert_eq!(text.trim_end(), output, "{command}"),
        }
    }
}
