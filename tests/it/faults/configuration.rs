//! The configuration file: typing errors at start and later, and the line that allows a token server.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;

use crate::support::authority::Authority;
use crate::support::isolated::{self, Etc};
use crate::support::processes::{only_pair, wait_until};
use crate::support::scripted_registry::{ReceivedRequest, ScriptedRegistry, json};
use crate::support::test_home::{TestHome, output_text, succeed};

use super::docker_config::DEV;
use super::{Fault, PASSWORD, USER, assert_well, home_for, registry, unwrapped};

fn config_of(home: &TestHome) -> PathBuf {
    let config = home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    config
}

#[test]
fn a_typing_error_keeps_the_agent_from_starting_and_the_message_names_file_and_line() {
    let registry = registry();
    let home = home_for(&registry);
    let config = config_of(&home);
    fs::write(&config, "verify = true\nverfy = true\n").unwrap();
    for command in ["start", "sync"] {
        let failed = home.with_declared(home.agent(&[command])).output().unwrap();
        assert_eq!(failed.status.code(), Some(1), "{}", output_text(&failed));
        let text = output_text(&failed);
        let place =
            format!("{} line 2: unknown key `verfy` (did you mean `verify`?)", config.display());
        let fix = format!("correct {}, then run the command again", config.display());
        assert!(text.contains(&place) && text.contains(&fix), "{text}");
    }
    fs::write(&config, "verify = true\n").unwrap();
    home.sync();
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn a_typing_error_is_named_by_check_and_by_the_helper_while_no_agent_runs() {
    let registry = registry();
    let home = home_for(&registry);
    let config = config_of(&home);
    fs::write(&config, "mod = \"helper\"\n").unwrap();
    let place = format!("{} line 1: unknown key `mod` (did you mean `mode`?)", config.display());
    let check = home.with_declared(home.agent(&["check"])).output().unwrap();
    let text = unwrapped(&output_text(&check));
    assert_eq!(check.status.code(), Some(1), "{text}");
    assert!(text.contains(&place) && !text.contains("no agent is running for"), "{text}");
    let fix = format!("correct {}, then run `registry-agent sync`", config.display());
    assert!(text.contains(&fix), "{text}");
    for (command, status) in [("status", 4), ("refresh", 1)] {
        let output = home.agent(&[command]).output().unwrap();
        let text = output_text(&output);
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(&place) && text.contains(&fix), "{text}");
        assert!(!text.contains("start one with"), "{text}");
    }

    fs::create_dir_all(home.path(".docker")).unwrap();
    let server = registry.server();
    let published = format!(r#"{{"credHelpers": {{"{server}": "registry-agent"}}}}"#);
    fs::write(home.path(".docker/config.json"), published).unwrap();
    let helper = home.helper("get", &server);
    let line = String::from_utf8_lossy(&helper.stderr);
    assert!(line.contains(&place) && line.contains(&fix), "{line}");
    assert_eq!(line.matches("correct ").count(), 1, "{line}");
    assert!(!line.contains("run the command again"), "{line}");

    fs::write(&config, "mode = \"helper\"\n").unwrap();
    home.sync();
    assert_well(&home, &server, (USER, PASSWORD));
}

#[test]
fn a_configuration_of_another_user_is_ignored_until_the_printed_line_is_run() {
    let registry = registry();
    let home = home_for(&registry);
    let (config, theirs) = (config_of(&home), home.path("theirs.env"));
    let set = [("SERVER", "127.0.0.1:1"), ("USER", "them"), ("PASSWORD", "theirs")];
    let set = set.map(|(suffix, value)| format!("THEIRS_CONTAINER_REGISTRY_{suffix}={value}\n"));
    fs::write(&theirs, set.concat()).unwrap();
    fs::write(&config, format!("sources = [\"{}\"]\n", theirs.display())).unwrap();
    chown(&config, Some(DEV), None).unwrap();
    home.start();
    let fault = Fault::error(&home, "configuration-of-another-user");
    let name = config.to_str().unwrap();
    fault.says(&[name, &format!("uid {DEV}")]).checked(&home, &[], 1);
    assert!(fault.fix.contains(&format!("`chown root {name}`")), "{}", fault.fix);
    assert_eq!(home.credential("127.0.0.1:1"), None);
    fault.paste(&home);
    Fault::is_gone(&home, "configuration-of-another-user");
    wait_until("the configuration is not used", || home.credential("127.0.0.1:1").is_some());

    // What others write in their file, root does not even parse.
    fs::write(&config, "mode = \"plain\"\n").unwrap();
    chown(&config, Some(DEV), None).unwrap();
    Fault::error(&home, "configuration-of-another-user");
    succeed(&mut home.agent(&["stop"]));
    home.start();
    assert_well_but_for(&home, &registry.server(), "configuration-of-another-user");
}

/// Fails unless the login of `server` is served, and the problem with this code is the only one.
fn assert_well_but_for(home: &TestHome, server: &str, code: &str) {
    Fault::error(home, code);
    assert_eq!(home.status()["problems"].as_array().unwrap().len(), 1, "{:#}", home.status());
    assert_eq!(home.credential(server), Some((USER.to_owned(), PASSWORD.to_owned())));
}

#[test]
fn a_configuration_of_the_owner_of_a_mounted_home_is_used() {
    isolated::run(&Etc::default(), async || {
        let mut home = TestHome::new();
        let (config, mounted) = (config_of(&home), home.path("mounted"));
        isolated::write("passwd", &format!("root:x:0:0::{}:/bin/sh\n", mounted.display()));
        fs::create_dir(&mounted).unwrap();
        fs::write(&config, "verify = false\n").unwrap();
        for path in [&config, &mounted] {
            chown(path, Some(DEV), None).unwrap();
        }
        home.declare("ACME", "127.0.0.1:1", (USER, PASSWORD));
        home.start();
        home.exit_of(&["wait"]);
        assert_eq!(home.login("ACME")["state"], "unverified");
        assert_eq!(home.status()["problems"].as_array().unwrap().len(), 0, "{:#}", home.status());
        home.exit_of(&["stop"]);
        drop(home);
    });
}

#[test]
fn roots_home_does_not_choose_the_user_of_its_agent() {
    isolated::run(&Etc::default(), async || {
        let home = TestHome::new();
        isolated::write("passwd", &format!("root:x:0:0::/root:/bin/sh\ndev:x:{DEV}:{DEV}::/:/\n"));
        fs::write(config_of(&home), "user = \"dev\"\n").unwrap();
        home.start_agent();
        assert_eq!(fs::metadata(home.lock()).unwrap().uid(), 0);
        home.exit_of(&["stop"]);
        drop(home);
    });
}

#[test]
fn a_typing_error_that_is_made_while_an_agent_runs_is_named_by_sync_and_start() {
    let registry = registry();
    let home = home_for(&registry);
    home.start_agent();
    let config = config_of(&home);
    fs::write(&config, "mod = \"helper\"\n").unwrap();
    Fault::error(&home, "configuration-malformed");
    let place = format!("{} line 1: unknown key `mod`", config.display());
    for (command, status) in [("sync", 1), ("start", 0)] {
        let output = home.with_declared(home.agent(&[command])).output().unwrap();
        let text = unwrapped(&output_text(&output));
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(&place) && text.contains("fix: correct"), "{command}: {text}");
    }
    fs::write(&config, "").unwrap();
    Fault::is_gone(&home, "configuration-malformed");
    home.sync();
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn a_value_that_no_key_has_is_named_with_those_that_it_has() {
    let home = TestHome::new();
    fs::write(config_of(&home), "mode = \"plain\"\n").unwrap();
    let text = output_text(&home.agent(&["start"]).output().unwrap());
    assert!(
        text.contains("line 1: `mode`: unknown value `plain`; use `helper` or `auths`"),
        "{text}"
    );
    fs::remove_file(config_of(&home)).unwrap();
}

#[test]
fn a_corrected_configuration_takes_effect_at_once_and_loses_nothing() {
    let (registry, other) = (registry(), registry());
    let home = home_for(&registry);
    let config = config_of(&home);
    home.sync();
    assert_well(&home, &registry.server(), (USER, PASSWORD));
    let before = only_pair(&home.lock());

    let file = home.path("registries.env");
    let set = [("SERVER", &*other.server()), ("USER", USER), ("PASSWORD", PASSWORD)]
        .map(|(suffix, value)| format!("FILE_CONTAINER_REGISTRY_{suffix}={value}\n"));
    fs::write(&file, set.concat()).unwrap();
    let line = format!("sources = [\"{}\"]\n", file.display());
    fs::write(&config, line.replace("sources", "source")).unwrap();
    let fault = Fault::error(&home, "configuration-malformed");
    fault.says(&[
        config.to_str().unwrap(),
        "line 1",
        "unknown key `source` (did you mean `sources`?)",
    ]);
    fault.checked(&home, &[], 1);
    assert!(fault.fix.starts_with(&format!("correct {}", config.display())), "{}", fault.fix);

    fs::write(&config, &line).unwrap();
    Fault::is_gone(&home, "configuration-malformed");
    assert_eq!(home.exit_of(&["wait", "FILE", "ACME"]), 0);
    assert_well(&home, &registry.server(), (USER, PASSWORD));
    assert_well(&home, &other.server(), (USER, PASSWORD));
    let after = only_pair(&home.lock());
    assert_eq!((after.agent, after.supervisor), (before.agent, before.supervisor));
}

#[test]
fn the_line_that_allows_a_token_server_may_be_pasted_twice_and_takes_effect_at_once() {
    let authority = Authority::new("Everybody's authority");
    let hosts = [("r.test", "127.0.0.1"), ("auth.test", "127.0.0.2")];
    isolated::run(&Etc { hosts: &hosts, roots: &authority.pem(), files: &[] }, async || {
        let tls = |name: &str| Some(authority.sign(&[name]).acceptor());
        let registry = |heard: &ReceivedRequest| {
            let is_known = heard.header("authorization") == Some("Bearer the-token");
            let ask = r#"WWW-Authenticate: Bearer realm="https://auth.test/token",service="r""#;
            if is_known { json(200, &[], "{}") } else { json(401, &[ask], "{}") }
        };
        let tokens = |heard: &ReceivedRequest| match heard.header("authorization") {
            Some(_) => json(200, &[], r#"{"token":"the-token"}"#),
            None => json(401, &[], "{}"),
        };
        let _registry = ScriptedRegistry::start("127.0.0.1:443", tls("r.test"), registry).await;
        let _tokens = ScriptedRegistry::start("127.0.0.2:443", tls("auth.test"), tokens).await;
        let pasted = tokio::task::spawn_blocking(|| {
            for configuration in [None, Some("verify = true\n[servers.\"x.test\"]\nrealms = []")] {
                let mut home = TestHome::new();
                home.declare("ACME", "r.test", (USER, PASSWORD));
                if let Some(text) = configuration {
                    fs::write(config_of(&home), text).unwrap();
                }
                home.sync();
                let fault = Fault::remark(&home, "realm-not-allowed");
                fault.says(&["auth.test"]).paste(&home);
                fault.paste(&home);
                Fault::is_gone(&home, "realm-not-allowed");
                assert_well(&home, "r.test", (USER, PASSWORD));
            }
        });
        pasted.await.unwrap();
    });
}
