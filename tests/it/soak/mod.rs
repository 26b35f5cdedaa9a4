//! The soak: every fault mixed, repeatable by its seed, while clients hold each answer against the truth.
//!
//! `make soak MINUTES=60 SEED=7` runs it alone; `make test` runs five minutes of it beside the other
//! tests. Nothing here depends on how fast the machine is: only counts are asserted.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;

use crate::support::authority::Authority;
use crate::support::isolated::{self, Etc};
use crate::support::test_home::output_text;

mod faults;
mod growth;
mod question;
mod registry;
mod schedule;
mod summary;
mod tally;
mod truth;
mod world;

use growth::Growth;
use schedule::{ROUND, Round};
use world::{Account, World};

/// About what a rest takes.
const REST: Duration = Duration::from_secs(10);
const CLIENTS: u64 = 3;
/// The minutes of a run in `make test`.
const SHORT_RUN: u64 = 5;

#[test]
#[ignore = "takes minutes; `make test` runs it beside the other tests"]
fn known_credentials_are_answered_through_every_fault() {
    let (minutes, seed) = (number("SOAK_MINUTES", SHORT_RUN), number("SOAK_SEED", 1));
    let schedule = schedule::schedule(seed, rounds(minutes));
    let authority = Authority::new("soak");
    let names = names();
    let addresses: Vec<_> = names.iter().map(|name| (name.as_str(), "127.0.0.1")).collect();
    let etc = Etc { hosts: &addresses, roots: &authority.pem(), ..Etc::default() };
    // Killed supervisors become children of this process, so that they can be reaped.
    prctl::set_child_subreaper(true).unwrap();
    isolated::run_threaded(&etc, || async {
        let parent = tempfile::tempdir().unwrap();
        let world = World::start(&parent, &authority);
        let begin = Instant::now();
        soak(&world, &schedule);
        everything_recovers(&world);
        let text = summary::of(&world.tally, minutes, seed, begin.elapsed());
        summary::write(&text, &target());
        assert!(summary::failures(&world.tally).is_empty(), "{text}");
        drop(world);
    });
}

fn rounds(minutes: u64) -> usize {
    let rounds = (minutes * 60).div_ceil((ROUND + REST).as_secs());
    usize::try_from(rounds).unwrap().max(3)
}

fn soak(world: &World, schedule: &[Round]) {
    let end = AtomicBool::new(false);
    let mut growth = Growth::default();
    thread::scope(|scope| {
        let _ends_clients = OnDrop(&end);
        for client in 0..CLIENTS {
            let end = &end;
            scope.spawn(move || ask_until(world, end, client));
        }
        for (index, round) in schedule.iter().enumerate() {
            thread::scope(|lanes| {
                for lane in &round.lanes {
                    lanes.spawn(|| lane.iter().for_each(|step| faults::run(world, step)));
                }
            });
            world.accounts.iter().for_each(|account| answers(world, account));
            growth.measure(world, round.keeps_processes);
            summary::print(&world.tally.progress(index + 1, schedule.len()));
        }
    });
}

/// A client that pulls from one registry after another.
fn ask_until(world: &World, end: &AtomicBool, client: u64) {
    let mut random = fastrand::Rng::with_seed(client);
    while !end.load(Ordering::Relaxed) {
        let account = &world.accounts[random.usize(..world.accounts.len())];
        let remembered = world.memory.read().unwrap();
        world.ask(account);
        drop(remembered);
        world::pause(random.u64(20..200));
    }
}

/// Without faults, every declared login is answered again by itself.
fn answers(world: &World, account: &Account) {
    let expected = || match &account.truth {
        world::Right::Password(truth) => truth.newest().is_some(),
        world::Right::Token(_) => true,
    };
    for _ in 0..600 {
        if world.ask(account).is_some() == expected() {
            return;
        }
        world::pause(100);
    }
    world.tally.stale(format!("{} is not answered after the faults have ended", account.name));
}

fn everything_recovers(world: &World) {
    for command in [&["sync"][..], &["refresh"], &["wait", "--timeout", "120s"]] {
        let output = world.home.agent(command).envs(world.environment()).output().unwrap();
        if !output.status.success() {
            world.tally.stale(format!("{command:?}: {}", output_text(&output)));
        }
    }
    let config = std::fs::read(world.home.path(".docker/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    for account in &world.accounts {
        let is_declared = match &account.truth {
            world::Right::Password(truth) => truth.newest().is_some(),
            world::Right::Token(_) => true,
        };
        let helper = &config["credHelpers"][&account.server];
        if (helper == "registry-agent") != is_declared {
            world.tally.stale(format!("{}: {config:#}", account.name));
        }
    }
}

/// The names that only the isolated network knows.
fn names() -> Vec<String> {
    world::REGIONS.iter().map(|region| world::ecr_host(region)).collect()
}

fn hosts(names: &[String]) -> String {
    format!("127.0.0.1 {}\n", names.join(" "))
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a whole number"))
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_registry-agent")).ancestors().nth(2).unwrap().to_owned()
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
