//! The commands on a real terminal: sizes, drawing in place, and how they leave it.

use std::collections::BTreeSet;
use std::net::TcpListener;

use crate::support::registry::{Auth, Registry};
use crate::support::terminal::Terminal;
use crate::support::test_home::{TestHome, output_text};

const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
const HUB: &str = "https://index.docker.io/v1/";
/// Nothing listens on it, so a login for it is unreachable immediately.
const DOWN: &str = "127.0.0.1:1";
const LOGIN: (&str, &str) = ("puller", "secret");

/// A home with an unreachable login, one of AWS ECR, and an incomplete set.
fn home() -> TestHome {
    let mut home = TestHome::new();
    home.declare("ACME", DOWN, LOGIN);
    home.declare("WORK_ON_AWS", ECR, ("AKIAIOSFODNN7EXAMPLE", "secret"));
    home.set("AWS_ENDPOINT_URL_ECR", "http://127.0.0.1:1");
    home.set("BETA_CONTAINER_REGISTRY_SERVER", "beta.test");
    home.set("BETA_CONTAINER_REGISTRY_USER", "puller");
    home.start();
    home.exit_of(&["wait"]);
    home
}

#[test]
fn status_breaks_no_word_on_a_narrow_terminal() {
    let home = home();
    let wide = output_text(&home.agent(&["status"]).output().unwrap());
    let labels =
        "registry user expires refresh declared in now min s h > $ ? status registry-agent";
    let known: BTreeSet<&str> = wide.split_whitespace().chain(labels.split(' ')).collect();
    for columns in [120, 80, 60] {
        let terminal = Terminal::open(&home, (columns, 60), &[]);
        terminal.enter("registry-agent status; echo END");
        let screen = terminal.wait_for("the status", |screen| screen.contains("\nEND"));
        let shown = screen.lines().skip(1).take_while(|line| *line != "END");
        for word in shown.flat_map(str::split_whitespace) {
            let is_number = word.chars().all(|c| c.is_ascii_digit());
            assert!(is_number || known.contains(word), "{columns}: {word:?} in\n{screen}");
        }
        for part in [ECR, DOWN, "WORK_ON_AWS", "unreachable", "explain variable-missing"] {
            assert!(screen.contains(part), "{columns}: {part} in\n{screen}");
        }
    }
}

#[test]
fn a_watched_status_is_drawn_in_place_and_leaves_the_terminal_as_it_was() {
    let mut home = home();
    let terminal = Terminal::open(&home, (120, 40), &[]);
    terminal.enter("echo before; registry-agent status --watch");
    let first = terminal.wait_for("the table", |screen| screen.contains("ACME"));
    assert!(!first.contains("before"), "{first}");
    assert_eq!(terminal.variable("alternate_on"), "1");
    terminal.wait_for("the next second", |screen| {
        screen.contains("ACME") && countdown(screen) != countdown(&first)
    });
    // A screen that is too small shows the beginning, and says that there is more.
    terminal.resize((60, 6));
    let small = terminal.wait_for("a small screen", |screen| {
        screen.contains("more lines") && screen.lines().count() == 6
    });
    assert_eq!(small.lines().count(), 6, "{small}");
    assert!(small.lines().next().unwrap().contains("WORK_ON_AWS"), "{small}");
    terminal.resize((120, 40));
    terminal.wait_for("the whole screen", |screen| screen.contains("fix:"));
    terminal.press("C-z");
    terminal.wait_for("the shell", |screen| screen.contains("before"));
    assert_eq!(terminal.variable("alternate_on"), "0");
    terminal.enter("fg");
    terminal.wait_for("the table again", |screen| screen.contains("ACME"));
    terminal.press("C-c");
    terminal.wait_for("the shell", |screen| screen.contains("before"));
    assert_eq!(
        (terminal.variable("alternate_on"), terminal.variable("cursor_flag")),
        ("0".to_owned(), "1".to_owned())
    );
    terminal.enter("echo status=$?");
    terminal.wait_for("how it ended", |screen| screen.contains("status=130"));
    drop(terminal);

    // A change appears without a keystroke.
    home.declare("LATER", "127.0.0.1:2", LOGIN);
    let terminal = Terminal::open(&home, (80, 40), &[]);
    terminal.enter("registry-agent status --watch");
    terminal.wait_for("the table", |screen| screen.contains("ACME"));
    assert_eq!(home.with_declared(home.agent(&["sync"])).output().unwrap().status.code(), Some(1));
    terminal.wait_for("the change", |screen| screen.contains("LATER"));
}

/// The seconds until an unreachable login is asked again.
fn countdown(screen: &str) -> Vec<&str> {
    screen.lines().filter(|line| line.contains(" in ") || line.contains("now")).collect()
}

#[test]
fn colours_are_left_out_where_the_terminal_asks_for_none() {
    let home = home();
    for (variables, colored) in [(&[][..], true), (&[("NO_COLOR", "1")], false)] {
        let terminal = Terminal::open(&home, (120, 40), variables);
        terminal.enter("registry-agent status --watch");
        terminal.wait_for("the table", |screen| screen.contains("ACME"));
        let screen = terminal.colored_screen();
        assert_eq!(screen.contains("\x1b[33m"), colored, "{screen:?}");
    }
    let terminal = Terminal::open(&home, (120, 40), &[]);
    terminal.enter("TERM=dumb registry-agent status --watch");
    terminal.wait_for("the table", |screen| screen.contains("ACME"));
    assert_eq!(terminal.variable("alternate_on"), "0");
    assert!(!terminal.colored_screen().contains("\x1b[33m"));
    terminal.press("C-c");
}

#[test]
fn wait_shows_what_it_waits_for_and_names_a_failure_at_once() {
    let registry = Registry::start(&Auth::Htpasswd(&[LOGIN]), None);
    // Accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut home = TestHome::new();
    home.declare("ACME", &registry.server(), (LOGIN.0, "wrong"));
    home.declare("SLOW", &silent.local_addr().unwrap().to_string(), LOGIN);
    home.start();
    let terminal = Terminal::open(&home, (80, 24), &[]);
    terminal.enter("registry-agent wait --timeout 10m");
    let screen = terminal.wait_for("the failure", |screen| screen.contains("explain refused"));
    assert!(screen.contains(&format!("ACME {}: rejected", registry.server())), "{screen}");
    assert!(screen.contains("fix: "), "{screen}");
    terminal.wait_for("what is awaited", |screen| screen.contains("waiting for SLOW ("));
    terminal.press("C-c");
    drop(silent);
}

#[test]
fn docker_hub_is_called_docker_io() {
    let mut home = TestHome::new();
    home.declare("HUB", "docker.io", LOGIN);
    home.set("HTTPS_PROXY", "http://127.0.0.1:1");
    home.start();
    home.exit_of(&["wait"]);
    let text = output_text(&home.agent(&["status"]).output().unwrap());
    assert!(text.contains("docker.io  ") && !text.contains(HUB), "{text}");
    assert_eq!(home.login("HUB")["server"], HUB);
}

/// The longest line that a command prints on a terminal of this many columns, after `setup`.
fn longest(home: &TestHome, columns: u16, setup: &str, command: &str) -> usize {
    let terminal = Terminal::open(home, (columns, 90), &[]);
    // The typed line disappears, which is as long as it is.
    terminal.enter(&format!("clear; {setup} registry-agent {command}; echo END"));
    let shown = |screen: &str| screen.lines().any(|line| line == "END");
    let screen = terminal.wait_for("the end", shown);
    let printed = screen.lines().take_while(|line| *line != "END");
    printed.map(|line| line.chars().count()).max().unwrap_or_default()
}

#[test]
fn columns_says_how_wide_lines_are_and_a_terminal_without_a_size_counts_as_80_by_24() {
    let home = home();
    for command in ["status", "explain rate-limited"] {
        let longest = |setup: &str| longest(&home, 140, setup, command);
        let of_the_terminal = longest("");
        assert!((101..=140).contains(&of_the_terminal), "{command}: {of_the_terminal}");
        assert!(longest("COLUMNS=60") <= 60, "{command}");
        for meaningless in ["COLUMNS=0", "COLUMNS=wide", "COLUMNS="] {
            assert_eq!(longest(meaningless), of_the_terminal, "{command}: {meaningless}");
        }
        let unknown = longest("stty cols 0 rows 0;");
        assert!((61..=80).contains(&unknown), "{command}: {unknown}");
    }
    let terminal = Terminal::open(&home, (140, 90), &[]);
    terminal
        .enter("for i in 1 2 3 4 5 6; do export X${i}_CONTAINER_REGISTRY_SERVER=x$i.test; done");
    terminal.enter("registry-agent sync; stty cols 0 rows 0; registry-agent status --watch");
    let screen = terminal.wait_for("a screen", |screen| screen.contains("more lines"));
    assert_eq!(screen.lines().count(), 24, "{screen}");
    terminal.press("C-c");
}
