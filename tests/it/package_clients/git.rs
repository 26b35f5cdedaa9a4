//! git, with the real program and its own server.

use std::path::Path;
use std::process::Command;

use super::{ask, recorded_helper, table, write};
use crate::support::git_server::GitServer;
use crate::support::test_home::{TestHome, output_text, succeed};

const PROGRAM: &str = "git-credential-registry-agent";
/// `builder:secret`
const BASIC: &str = "Basic YnVpbGRlcjpzZWNyZXQ=";
/// The token `secret` with no user and with that of the helper.
const TOKEN: [&str; 2] = ["Basic OnNlY3JldA==", "Basic b2F1dGgyOnNlY3JldA=="];
const CHALLENGE: &str = "Basic realm=\"git\"";

fn git(test_home: &TestHome, directory: &str, arguments: &[&str]) -> Command {
    let mut command = test_home.command("git");
    command.args(arguments).current_dir(test_home.path(directory));
    // Whatever happens, nobody is asked.
    command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "builder");
        command.env(format!("GIT_{who}_EMAIL"), "builder@acme.invalid");
    }
    command
}

/// A home whose git asks the helper for this server, and a repository to push.
fn home_with(server: &str) -> TestHome {
    let test_home = TestHome::new();
    recorded_helper(&test_home, PROGRAM);
    let key = format!("credential.{server}.helper");
    succeed(&mut git(&test_home, "", &["config", "--global", &key, "registry-agent"]));
    write(&test_home.path("source/file"), "content");
    succeed(&mut git(&test_home, "source", &["init", "--quiet", "--initial-branch", "main"]));
    succeed(&mut git(&test_home, "source", &["add", "file"]));
    succeed(&mut git(&test_home, "source", &["commit", "--quiet", "--message", "a commit"]));
    test_home
}

fn knows_headers(test_home: &TestHome) -> bool {
    let version = output_text(&succeed(&mut git(test_home, "", &["--version"])));
    version.as_str() >= "git version 2.46"
}

fn server(directory: &Path, accepted: &[&str], challenge: &'static str) -> GitServer {
    let server = GitServer::start(directory, accepted, challenge);
    server.create("private/team/app.git");
    server.create("public/app.git");
    server
}

fn push(test_home: &TestHome, server: &GitServer, path: &str) {
    let url = format!("{}/{path}", server.url);
    succeed(&mut git(test_home, "source", &["push", "--quiet", &url, "main"]));
}

#[test]
fn a_private_repository_is_pushed_and_cloned_without_a_password() {
    for (login, accepted) in [
        (&[("USER", "builder"), ("PASSWORD", "secret")][..], &[BASIC][..]),
        // GitLab and others take a token as the password of any user.
        (&[("PASSWORD", "secret")], &TOKEN),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let server = server(directory.path(), accepted, CHALLENGE);
        let mut test_home = home_with(&server.url);
        test_home.declare_packages("ACME", &[("SERVER", server.url.as_str())]);
        test_home.declare_packages("ACME", login);
        test_home.start_agent();

        push(&test_home, &server, "private/team/app.git");
        let url = format!("{}/private/team/app.git", server.url);
        succeed(&mut git(&test_home, "", &["clone", "--quiet", &url, "clone"]));
        let file = std::fs::read_to_string(test_home.path("clone/file")).unwrap();
        assert_eq!(file, "content");
        let refused = &server.state().refused;
        assert!(refused.is_empty(), "{refused:?}");
        let version = output_text(&succeed(&mut git(&test_home, "", &["--version"])));
        let what = "`git push` to and `git clone` of a private repository";
        table::record("git", version.trim(), what, &test_home.asked());
    }
}

#[test]
fn a_token_is_sent_as_a_bearer_token_where_git_and_the_server_know_that() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), &["Bearer secret"], "Bearer realm=\"git\"");
    let mut test_home = home_with(&server.url);
    let login = [("SERVER", server.url.as_str()), ("PASSWORD", "secret")];
    test_home.declare_packages("ACME", &login);
    test_home.start_agent();
    if !knows_headers(&test_home) {
        return;
    }
    push(&test_home, &server, "private/team/app.git");
}

/// git sends a password that worked to every helper. From 2.46 on, it keeps a header to itself.
#[test]
fn no_other_helper_of_git_stores_the_login() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), &[BASIC], CHALLENGE);
    let mut test_home = home_with(&server.url);
    succeed(&mut git(&test_home, "", &["config", "--global", "credential.helper", "store"]));
    let login = [("SERVER", server.url.as_str()), ("USER", "builder"), ("PASSWORD", "secret")];
    test_home.declare_packages("ACME", &login);
    test_home.start_agent();
    if !knows_headers(&test_home) {
        return;
    }
    push(&test_home, &server, "private/team/app.git");
    let stored = std::fs::read_to_string(test_home.path(".git-credentials")).unwrap_or_default();
    assert_eq!(stored, "");
}

#[test]
fn only_repositories_below_the_declared_url_get_the_login() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), &[BASIC], CHALLENGE);
    server.create("private/other/app.git");
    let mut test_home = home_with(&server.url);
    let team = format!("{}/private/team/", server.url);
    let login = [("SERVER", team.as_str()), ("USER", "builder"), ("PASSWORD", "secret")];
    test_home.declare_packages("ACME", &login);
    test_home.start_agent();
    let other = format!("{}/private/other/app.git", server.url);
    let refused = |test_home: &TestHome, url: &str| {
        let output = git(test_home, "source", &["push", url, "main"]).output().unwrap();
        assert!(!output.status.success(), "{url}: {}", output_text(&output));
    };
    refused(&test_home, &other);
    // git asks for the host alone.
    refused(&test_home, &format!("{team}app.git"));
    let use_path = format!("credential.{}.useHttpPath", server.url);
    succeed(&mut git(&test_home, "", &["config", "--global", &use_path, "true"]));
    push(&test_home, &server, "private/team/app.git");
    refused(&test_home, &other);
    let another = team.replace("http://", "http://somebody@");
    refused(&test_home, &format!("{another}app.git"));
    // git itself sends a user without a password.
    let refused: Vec<String> = server.state().refused.clone();
    assert!(refused.iter().all(|header| header == "Basic c29tZWJvZHk6"), "{refused:?}");
}

#[test]
fn a_server_that_a_redirect_leads_to_gets_no_login() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = server(directory.path(), &["never sent"], CHALLENGE);
    let declared = tempfile::tempdir().unwrap();
    let declared = server(declared.path(), &[BASIC], CHALLENGE);
    let mut test_home = home_with(&declared.url);
    // For every server.
    let every = ["config", "--global", "credential.helper", "registry-agent"];
    succeed(&mut git(&test_home, "", &every));
    let login = [("SERVER", declared.url.as_str()), ("USER", "builder"), ("PASSWORD", "secret")];
    test_home.declare_packages("ACME", &login);
    test_home.start();
    test_home.exit_of(&["wait"]);
    declared.state().moved = Some(elsewhere.url.clone());
    let url = format!("{}/private/team/app.git", declared.url);
    let output = git(&test_home, "", &["clone", &url, "clone"]).output().unwrap();
    let text = output_text(&output);
    // The declared server accepts the login, so this is said of the other one.
    assert!(text.contains("Authentication failed"), "{text}");
    assert_eq!(elsewhere.state().refused, Vec::<String>::new());
}

#[test]
fn public_repositories_are_cloned_while_a_login_is_withheld_and_no_agent_runs() {
    let directory = tempfile::tempdir().unwrap();
    let server = server(directory.path(), &[BASIC], CHALLENGE);
    let mut test_home = home_with(&server.url);
    push(&test_home, &server, "public/app.git");
    let login = [("SERVER", server.url.as_str()), ("USER", "builder"), ("PASSWORD", "wrong")];
    test_home.declare_packages("ACME", &login);
    test_home.start();
    assert_eq!(test_home.login("ACME")["state"], "rejected");
    let public = format!("{}/public/app.git", server.url);
    let private = format!("{}/private/team/app.git", server.url);
    let withheld = git(&test_home, "", &["clone", &private, "private"]).output().unwrap();
    let text = output_text(&withheld);
    assert!(!withheld.status.success(), "{text}");
    assert!(text.contains("registry-agent: the login is rejected"), "{text}");
    succeed(&mut git(&test_home, "", &["clone", "--quiet", &public, "withheld"]));
    test_home.exit_of(&["stop"]);
    succeed(&mut git(&test_home, "", &["clone", "--quiet", &public, "stopped"]));

    // The user's own helper has what the agent has not.
    let own = format!("credential.{}.helper", server.url);
    let script = "!f() { test $1 = get && printf 'username=builder\\npassword=secret\\n'; }; f";
    succeed(&mut git(&test_home, "", &["config", "--global", "--add", &own, script]));
    push(&test_home, &server, "private/team/app.git");
}

#[test]
fn a_token_that_expires_is_replaced_and_what_git_stores_is_ignored() {
    let mut test_home = TestHome::new();
    // The payload says {"exp":4102444800}.
    let token = "e30.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln";
    let login = [("SERVER", "https://git.invalid/"), ("USER", "builder"), ("PASSWORD", token)];
    test_home.declare_packages("ACME", &login);
    test_home.start();
    test_home.exit_of(&["wait"]);
    let question = "protocol=https\nhost=git.invalid\nwwwauth[]=Basic realm=\"x\"\n\n";
    let answer = ask(&test_home, PROGRAM, &["get"], question);
    let text = output_text(&answer);
    assert!(text.starts_with(&format!("username=builder\npassword={token}\n")), "{text}");
    assert!(text.contains("\npassword_expiry_utc=41"), "{text}");
    for verb in ["store", "erase", "later"] {
        let input = "protocol=https\nhost=git.invalid\nusername=a\npassword=b\n\n";
        let output = ask(&test_home, PROGRAM, &[verb], input);
        assert!(output.status.success(), "{verb}");
        assert_eq!(output_text(&output), "", "{verb}");
    }
    let again = ask(&test_home, PROGRAM, &["get"], question);
    assert_eq!(output_text(&again), text);
}
