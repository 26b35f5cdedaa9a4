//! The configuration, the environment and the log of a running agent.

use std::fs;
use std::io::Write;

use crate::support::processes::{kill_9, only_pair, wait_until};
use crate::support::test_home::{TestHome, output_text, succeed};
use crate::support::unresponsive_mount::UnresponsiveMount;

/// Nothing listens on this port, so the login is unreachable immediately, and served.
const SERVER: &str = "127.0.0.1:1";

#[test]
fn a_mistake_in_the_configuration_is_a_problem_and_changes_nothing_else() {
    let mut test_home = TestHome::new();
    let config = test_home.path(".config/registry-agent/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "verify = false\n").unwrap();
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync();
    let pushed = Some(("user".to_owned(), "pushed".to_owned()));
    let name = config.display().to_string();

    fs::write(&config, "verify = false\nlog_level = \"loud\"\n").unwrap();
    wait_until("the problem is not shown", || !test_home.problems(&name).is_empty());
    let (problem, _) = test_home.problems(&name).remove(0);
    assert!(problem.contains(&format!("{name} line 2")), "{problem}");
    for _ in 0..3 {
        let pair = only_pair(&test_home.lock());
        kill_9(&pair.agent);
        assert_eq!(test_home.credential(SERVER), pushed);
        assert_eq!(test_home.problems(&name).len(), 1);
        assert_eq!(test_home.login("PUSHED")["state"], "unverified", "still not verified");
    }
    kill_9(&only_pair(&test_home.lock()).supervisor);
    assert_eq!(test_home.credential(SERVER), pushed);
    test_home.sync_in_vain();

    fs::write(&config, "verify = false\n").unwrap();
    wait_until("the problem stays", || test_home.problems(&name).is_empty());
    fs::write(&config, "verfy = false\n").unwrap();
    succeed(&mut test_home.agent(&["stop"]));
    let refused = test_home.agent(&["start"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(output_text(&refused).contains(&format!("{name} line 1")), "{}", output_text(&refused));
}

#[test]
fn an_agent_restarts_although_the_file_system_of_its_configuration_hangs() {
    let mut test_home = TestHome::new();
    let directory = test_home.path(".config/registry-agent");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.toml"), "verify = false\n").unwrap();
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync();
    let _hangs = UnresponsiveMount::new(&directory);
    kill_9(&only_pair(&test_home.lock()).agent);
    let pushed = Some(("user".to_owned(), "pushed".to_owned()));
    assert_eq!(test_home.credential(SERVER), pushed);
    let name = directory.join("config.toml").display().to_string();
    let (problem, _) = test_home.problems(&name).remove(0);
    assert!(problem.contains("does not respond"), "{problem}");
    let before = only_pair(&test_home.lock());
    kill_9(&before.supervisor);
    wait_until("no supervisor follows", || {
        only_pair(&test_home.lock()).supervisor != before.supervisor
    });
    kill_9(&only_pair(&test_home.lock()).agent);
    assert_eq!(test_home.credential(SERVER), pushed);
    assert_eq!(test_home.login("PUSHED")["state"], "unverified", "still not verified");
}

#[test]
fn an_agent_is_replaced_as_often_as_it_dies_while_its_configuration_hangs() {
    let mut test_home = TestHome::new();
    let lock = test_home.lock();
    let directory = test_home.path(".config/registry-agent");
    fs::create_dir_all(&directory).unwrap();
    test_home.declare("PUSHED", SERVER, ("user", "pushed"));
    test_home.sync();
    let _hangs = UnresponsiveMount::new(&directory);
    // A supervisor that starts while the file system hangs.
    let first = only_pair(&lock).supervisor;
    kill_9(&first);
    wait_until("no supervisor follows", || only_pair(&lock).supervisor != first);
    for round in 0..10 {
        kill_9(&only_pair(&lock).agent);
        let pushed = Some(("user".to_owned(), "pushed".to_owned()));
        assert_eq!(test_home.credential(SERVER), pushed, "round {round}");
    }
}

#[test]
fn a_relative_docker_config_is_relative_to_the_caller() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", SERVER, ("user", "password"));
    test_home.set("DOCKER_CONFIG", "docker");
    fs::create_dir(test_home.path("project")).unwrap();
    let mut sync = test_home.with_declared(test_home.agent(&["sync"]));
    succeed(sync.current_dir(test_home.path("project")));
    assert!(test_home.path("project/docker/config.json").exists());
}

#[test]
fn the_log_of_a_running_agent_does_not_grow_without_limit() {
    let mut test_home = TestHome::new();
    test_home.start();
    let log = test_home.path(".local/state/registry-agent/agent.log");
    let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(&vec![b'x'; 5 << 20]).unwrap();
    test_home.declare("ACME", SERVER, ("user", "password"));
    test_home.sync();
    let length = fs::metadata(&log).unwrap().len();
    assert!(length > 0 && length < 1 << 20, "{length}");
}
