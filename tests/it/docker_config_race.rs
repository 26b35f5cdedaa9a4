//! Many writers of one docker configuration at once, none of which takes a lock but we.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use registry_agent::adapters::docker_config::DockerConfig;
use registry_agent::domain::docker_config::Wanted;
use registry_agent::domain::reasons::PublishReason;

use crate::support::registry::{Auth, Registry};

const RACE: Duration = Duration::from_mins(1);

fn wanted() -> Wanted {
    let keys = ["ghcr.io", "https://index.docker.io/v1/", "docker.io"];
    Wanted { helpers: keys.map(str::to_owned).into(), ..Wanted::default() }
}

fn assert_ours(file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    for key in wanted().helpers {
        assert_eq!(value["credHelpers"][key], "registry-agent", "{text}");
    }
}

/// Our agents: they write until told to stop, and say how often they did.
fn publish_until(stop: &AtomicBool, file: &Path, state: &Path) -> u32 {
    let mut config = DockerConfig::new(file, false, state);
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        match config.publish(&wanted()) {
            Ok(outcome) => written += u32::from(outcome.changed),
            // Half a file, or one that never was left alone for long enough: an agent comes again.
            Err(PublishReason::Malformed { .. } | PublishReason::Busy { .. }) => {}
            Err(reason) => panic!("{reason}"),
        }
    }
    written
}

/// The password goes by a pipe; `program` is docker or skopeo.
fn login(program: &str, args: &[&str], home: &Path) {
    let mut child = Command::new(program)
        .args(args)
        .env("DOCKER_CONFIG", home)
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // One that fails at once reads nothing.
    let _ = child.stdin.take().unwrap().write_all(b"secret");
    // It fails when another writer's half a file is all it finds.
    let _ = child.wait().unwrap();
}

/// A writer that ends, in a panic or not, ends the race.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn our_entries_survive_docker_skopeo_and_editors_all_at_once() {
    let registry = Registry::start(&Auth::Htpasswd(&[("u", "secret")]), None);
    let by_address = registry.server();
    let by_name = by_address.replace("127.0.0.1", "localhost");
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let file = home.join("config.json");
    let path = file.to_str().unwrap();
    fs::write(&file, r#"{"auths": {"none.invalid": {}}}"#).unwrap();
    let stop = AtomicBool::new(false);
    let until = |work: &dyn Fn()| {
        while !stop.load(Ordering::Relaxed) {
            work();
        }
    };
    let heredoc = format!(
        "cat >'{path}' <<'END'\n{{\n  \"auths\": {{ \"none.invalid\": {{}} }},\n  \
         \"credsStore\": \"dev-containers-1\"\n}}\nEND\n"
    );
    thread::scope(|scope| {
        for server in [&by_address, &by_name] {
            let docker = ["login", "-u", "u", "--password-stdin", server];
            scope.spawn(move || until(&|| login("docker", &docker, home)));
            let skopeo = ["login", "--tls-verify=false", "--authfile", path, "-u", "u"];
            let skopeo = [&skopeo[..], &["--password-stdin", server]].concat();
            scope.spawn(move || until(&|| login("skopeo", &skopeo, home)));
        }
        for _ in 0..2 {
            scope.spawn(|| until(&|| drop(Command::new("sh").args(["-c", &heredoc]).status())));
        }
        let ours: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| publish_until(&stop, &file, &home.join("state"))))
            .collect();
        let end = Instant::now() + RACE;
        while Instant::now() < end && !ours.iter().any(thread::ScopedJoinHandle::is_finished) {
            let _ = nix::poll::poll(&mut [], nix::poll::PollTimeout::from(100_u8));
        }
        stop.store(true, Ordering::Relaxed);
        let written: u32 = ours.into_iter().map(|agent| agent.join().unwrap()).sum();
        assert!(written > 0, "our entries were never dropped, so this was no race");
    });
    // What the agent does once the last change has come to its ears.
    DockerConfig::new(&file, false, &home.join("state")).publish(&wanted()).unwrap();
    assert_ours(&file);
    let left: Vec<_> = fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("registry-agent"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn nothing_that_careful_writers_wrote_is_lost_by_our_writes() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.json");
    fs::write(&file, "{}").unwrap();
    let (stop, turn, count) = (AtomicBool::new(false), Mutex::new(()), AtomicU32::new(0));
    // They keep each other's entries, drop ours each time as old tools do, and know nothing of us.
    let add = || {
        let _turn = turn.lock().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let number = count.fetch_add(1, Ordering::Relaxed);
        value.as_object_mut().unwrap().remove("credHelpers");
        value["auths"][format!("registry-{number}.example.com")] = serde_json::json!({});
        let temporary = home.path().join("theirs");
        fs::write(&temporary, serde_json::to_vec(&value).unwrap()).unwrap();
        fs::rename(&temporary, &file).unwrap();
    };
    let written = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let _ends = StopAtEnd(&stop);
                while !stop.load(Ordering::Relaxed) && count.load(Ordering::Relaxed) < 1000 {
                    add();
                    let _ = nix::poll::poll(&mut [], nix::poll::PollTimeout::from(3_u8));
                }
            });
        }
        let ours = scope.spawn(|| publish_until(&stop, &file, &home.path().join("state")));
        ours.join().unwrap()
    });
    assert!(written > 10, "{written} writes of ours are no race");
    DockerConfig::new(&file, false, &home.path().join("state")).publish(&wanted()).unwrap();
    assert_ours(&file);
    let text = fs::read_to_string(&file).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let there = value["auths"].as_object().unwrap().len();
    assert_eq!(there, count.load(Ordering::Relaxed) as usize, "after {written} writes of ours");
}
