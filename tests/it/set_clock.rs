//! The wall clock is set while the agent runs.

use std::collections::BTreeSet;
use std::fs;

use jiff::{SignedDuration, Timestamp};
use nix::unistd::{getegid, geteuid};
use registry_agent::adapters::clock::Clock;
use registry_agent::adapters::config::Config;
use registry_agent::adapters::passwd::User;
use registry_agent::adapters::paths::Paths;
use registry_agent::agent::publisher::Publisher;
use registry_agent::domain::docker_config::Wanted;

use crate::support::processes::wait_until;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

#[tokio::test]
async fn entries_are_put_back_although_the_clock_was_set_back_a_day() {
    let home = tempfile::tempdir().unwrap();
    let gid = getegid().as_raw();
    let user = User {
        name: "user".to_owned(),
        uid: geteuid().as_raw(),
        gid,
        groups: vec![gid],
        home: home.path().to_owned(),
    };
    let (clock, hands) = Clock::manual(START);
    let mut publisher = Publisher::new(&Config::default(), &Paths::of_user(&user), clock).unwrap();
    let helpers = BTreeSet::from(["registry.test".to_owned()]);
    publisher.publish(None, Wanted { helpers, ..Wanted::default() }, Vec::new());
    publisher.published().await;
    hands.set(START - SignedDuration::from_hours(24));
    let config = home.path().join(".docker/config.json");
    // The second time falls into the pause after the first repair.
    for _ in 0..2 {
        fs::write(&config, "{}\n").unwrap();
        wait_until("the entry is not put back", || {
            fs::read_to_string(&config).unwrap().contains("registry.test")
        });
    }
}
