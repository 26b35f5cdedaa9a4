//! What the agent's memory holds once a secret is no longer in use. Requires root, because the agent's
//! memory is closed to its own user.

use std::fs;
use std::os::unix::fs::FileExt;

use crate::support::aws::FakeAws;
use crate::support::canary::Canary;
use crate::support::package_registry::PackageRegistry;
use crate::support::processes::{only_pair, wait_until};
use crate::support::registry::{Auth, Registry};
use crate::support::test_home::TestHome;

const PASSWORD: &str = "canary-of-a-password-in-memory";
const SECRET_KEY: &str = "canary+of+a/secret/key+in/memory/01234567";
const SESSION: &str = "canary-of-a-session-token-in-memory";
const PACKAGE_TOKEN: &str = "canary-of-a-package-token-in-memory";
const STORED: &str = "canary-of-a-stored-login-in-memory";
const PAGE: usize = 4096;
const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

#[test]
fn the_agent_keeps_no_secret_that_is_no_longer_in_use() {
    let users = [("puller", PASSWORD), ("own", STORED)];
    let registry = Registry::start(&Auth::Htpasswd(&users), None);
    let other = Registry::start(&Auth::Open, None);
    let packages = PackageRegistry::start(&[&format!("Bearer {PACKAGE_TOKEN}")]);
    let aws = FakeAws::start();
    aws.add_key("ASIACANARY0000000001", SECRET_KEY, Some(SESSION));
    let mut test_home = TestHome::new();
    // No request goes to the real AWS.
    test_home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    for (variable, value) in aws.variables() {
        test_home.set(&variable, &value);
    }
    test_home.declare("OTHER", &other.server(), ("nobody", "of no interest"));
    test_home.start();
    test_home.sync();
    test_home.declare("ACME", &registry.server(), ("puller", PASSWORD));
    test_home.declare("CLOUD", ECR, ("ASIACANARY0000000001", SECRET_KEY));
    test_home.set("CLOUD_CONTAINER_REGISTRY_SESSION_TOKEN", SESSION);
    let npm = packages.url("/npm/");
    test_home.declare_packages("NPM", &[("SERVER", &npm), ("PASSWORD", PACKAGE_TOKEN)]);
    test_home.sync();
    // Nobody answers for the ECR registry.
    test_home.exit_of(&["wait"]);
    let (_, token) = test_home.credential(ECR).expect("a token of the stand-in");
    assert!(test_home.authorization(&npm).is_some());
    let stored =
        format!(r#"{{"ServerURL":"{}","Username":"own","Secret":"{STORED}"}}"#, registry.server());
    assert!(test_home.helper("store", &stored).status.success());

    let agent = only_pair(&test_home.lock()).agent.pid;
    let secrets = [PASSWORD, SECRET_KEY, SESSION, PACKAGE_TOKEN, STORED, &token];
    let secrets = secrets.map(|secret| (secret, Canary::new(secret)));
    let memory = read_memory(agent);
    for (secret, canary) in &secrets {
        assert!(canary.form_in(&memory).is_some(), "the search does not find {secret}");
    }

    assert!(test_home.helper("erase", &registry.server()).status.success());
    for name in ["ACME", "CLOUD"] {
        for suffix in ["SERVER", "USER", "PASSWORD", "SESSION_TOKEN"] {
            test_home.unset(&format!("{name}_CONTAINER_REGISTRY_{suffix}"));
        }
    }
    for suffix in ["SERVER", "PASSWORD"] {
        test_home.unset(&format!("NPM_PACKAGE_REGISTRY_{suffix}"));
    }
    test_home.sync();
    assert_eq!(only_pair(&test_home.lock()).agent.pid, agent, "another agent has another memory");
    for (secret, canary) in &secrets {
        wait_until(&format!("{secret} is left"), || canary.form_in(&read_memory(agent)).is_none());
    }
}

/// Everything that the process can write, without empty pages.
fn read_memory(pid: i32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut content = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (address(start), address(end));
        let mut block = vec![0; usize::try_from(end - start).unwrap()];
        // The process may have returned the memory since.
        if memory.read_exact_at(&mut block, start).is_ok() {
            // Most of a stack was never used.
            let used = block.chunks(PAGE).filter(|page| page.iter().any(|byte| *byte != 0));
            content.extend(used.flatten());
        }
    }
    content
}
