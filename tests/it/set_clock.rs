//! The wall clock is set while the agent runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{getegid, geteuid};
use registry_agent::adapters::clock::Clock;
use registry_agent::adapters::config::Config;
use registry_agent::adapters::handoff::{self, Message};
use registry_agent::adapters::passwd::User;
use registry_agent::adapters::paths::Paths;
use registry_agent::adapters::source_files::FileSources;
use registry_agent::agent::config_watch::ConfigWatch;
use registry_agent::agent::publisher::Publisher;
use registry_agent::agent::source_set::SourceSet;
use registry_agent::agent::{self, AgentSetup};
use registry_agent::domain::client_files::WantedClientFiles;
use registry_agent::domain::docker_config::Wanted;
use registry_agent::wire::handoff::{SavedState, reveal};
use tokio::task::{LocalSet, spawn_local};

use crate::support::processes::wait_until;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Nothing listens there, so that its login is retried.
const DOWN: &str = "127.0.0.1:1";

#[tokio::test]
async fn the_next_agent_receives_times_by_a_clock_that_was_set_back() {
    let home = tempfile::tempdir().unwrap();
    let (clock, hands) = Clock::manual(START);
    let (control, supervisor) = control_sockets();
    let setup = setup(home.path(), clock, control);
    LocalSet::new()
        .run_until(async {
            spawn_local(agent::run(setup));
            let mut last = None;
            let before = due_after(&supervisor, &mut last, START).await;
            hands.set(START - HOUR);
            let after = due_after(&supervisor, &mut last, START - HOUR);
            let after = tokio::time::timeout(Duration::from_secs(10), after).await;
            assert_eq!(after, Ok(before - HOUR));
        })
        .await;
}

/// When the login is retried, according to the newest state at the supervisor's end, as soon as that
/// is within a minute of `now`.
async fn due_after(supervisor: &OwnedFd, last: &mut Option<OwnedFd>, now: Timestamp) -> Timestamp {
    loop {
        while let Ok(Some(message)) = handoff::receive(supervisor.as_fd()) {
            if let Message::SaveState(state) = message {
                *last = Some(state);
            }
        }
        let state = last
            .as_ref()
            .map(|state| SavedState::read(&handoff::read(state.as_fd()).unwrap()).unwrap().logins);
        let login = state.as_ref().and_then(|logins| logins.get(DOWN));
        let due = login.filter(|login| login.failures == 1).and_then(|login| login.due);
        match due {
            Some(due) if due.duration_since(now).abs() < SignedDuration::from_mins(1) => {
                return due;
            }
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

fn control_sockets() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap()
}

/// An agent that was started with one login.
fn setup(home: &Path, clock: Clock, control: OwnedFd) -> AgentSetup {
    let paths = Paths::of_user(&user(home));
    let declared = [("SERVER", DOWN), ("USER", "user"), ("PASSWORD", "secret")];
    let environment: BTreeMap<_, _> = declared
        .map(|(suffix, value)| {
            (format!("ACME_CONTAINER_REGISTRY_{suffix}"), value.to_owned().into())
        })
        .into();
    let mut state = SavedState { environment: reveal(&environment), ..SavedState::default() };
    let (config, config_watch) = ConfigWatch::load(&paths, &mut state);
    let files = FileSources::new(&home.join("no-codespace"), &[], BTreeMap::new());
    let sources = SourceSet::new(files, &mut state, config.github_token);
    let listener = UnixListener::bind(home.join("agent.sock")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let latest = handoff::create(b"").unwrap();
    AgentSetup {
        listener,
        control,
        latest,
        state,
        start: None,
        sources,
        config: Config { sources: Vec::new(), ..config },
        reports_status: false,
        config_watch,
        paths,
        clock,
    }
}

fn user(home: &Path) -> User {
    let gid = getegid().as_raw();
    User {
        name: "user".to_owned(),
        uid: geteuid().as_raw(),
        gid,
        groups: vec![gid],
        home: home.to_owned(),
    }
}

#[tokio::test]
async fn entries_are_put_back_although_the_clock_was_set_back_a_day() {
    let home = tempfile::tempdir().unwrap();
    let (clock, hands) = Clock::manual(START);
    let paths = Paths::of_user(&user(home.path()));
    let mut publisher = Publisher::new(&Config::default(), &paths, clock).unwrap();
    let helpers = BTreeSet::from(["registry.test".to_owned()]);
    publisher.publish(
        None,
        Wanted { helpers, ..Wanted::default() },
        Vec::new(),
        WantedClientFiles::default(),
        None,
    );
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
