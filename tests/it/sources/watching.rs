//! What the watcher reports, whatever reads the files.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use registry_agent::adapters::file_watcher::Watcher;
use tokio::runtime::Runtime;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What changed within a moment; nothing if nothing did.
async fn news(watcher: &mut Watcher) -> BTreeSet<PathBuf> {
    tokio::time::timeout(Duration::from_millis(300), watcher.changed()).await.unwrap_or_default()
}

fn watching(paths: &[&Path]) -> Watcher {
    let mut watcher = Watcher::default();
    watcher.set_paths(paths.iter().map(|path| (*path).to_owned()).collect());
    watcher
}

#[test]
fn a_file_is_reported_when_its_writer_closes_it_and_not_before() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("file");
    fs::write(&path, "old").expect("written");
    runtime().block_on(async {
        let mut watcher = watching(&[&path]);
        assert_eq!(news(&mut watcher).await, BTreeSet::from([path.clone()]), "the first look");
        let mut writer = File::create(&path).expect("truncated");
        writer.write_all(b"ne").expect("written");
        assert_eq!(news(&mut watcher).await, BTreeSet::new(), "while it is written");
        assert!(watcher.is_written(&path));
        writer.write_all(b"w").expect("written");
        drop(writer);
        assert_eq!(news(&mut watcher).await, BTreeSet::from([path.clone()]), "when it is closed");
        assert!(!watcher.is_written(&path));
    });
}

#[test]
fn a_truncated_file_is_reported_without_a_close_event() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("file");
    fs::write(&path, "old").expect("written");
    runtime().block_on(async {
        let mut watcher = watching(&[&path]);
        news(&mut watcher).await;
        nix::unistd::truncate(&path, 1).expect("truncated");
        let later = tokio::time::timeout(Duration::from_secs(20), watcher.changed()).await;
        assert_eq!(later.expect("a report"), BTreeSet::from([path.clone()]));
    });
}

#[test]
fn reading_a_file_is_no_change_and_neither_are_its_neighbours() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("file");
    fs::write(&path, "old").expect("written");
    runtime().block_on(async {
        let mut watcher = watching(&[&path]);
        news(&mut watcher).await;
        fs::read(&path).expect("read");
        fs::write(root.path().join("neighbour"), "x").expect("written");
        fs::remove_file(root.path().join("neighbour")).expect("removed");
        drop(OpenOptions::new().read(true).open(&path).expect("opened"));
        assert_eq!(news(&mut watcher).await, BTreeSet::new());
    });
}

#[test]
fn only_the_paths_that_changed_are_reported() {
    let root = tempfile::tempdir().expect("a directory");
    let paths = ["a", "b", "c/d/e"].map(|name| root.path().join(name));
    runtime().block_on(async {
        let mut watcher = watching(&[&paths[0], &paths[1], &paths[2]]);
        news(&mut watcher).await;
        fs::write(&paths[1], "x").expect("written");
        assert_eq!(news(&mut watcher).await, BTreeSet::from([paths[1].clone()]));
        fs::create_dir_all(root.path().join("c/d")).expect("directories");
        news(&mut watcher).await;
        fs::write(&paths[2], "x").expect("written");
        assert_eq!(news(&mut watcher).await, BTreeSet::from([paths[2].clone()]));
    });
}

#[test]
fn a_file_in_a_busy_top_level_directory_is_followed_by_itself() {
    // The file of the test's own stands for /etc/environment.
    let path = Path::new("/tmp").join(format!("registry-agent-watch-{}", std::process::id()));
    fs::write(&path, "old").expect("written");
    let all = BTreeSet::from([path.clone()]);
    runtime().block_on(async {
        let mut watcher = watching(&[&path]);
        news(&mut watcher).await;
        for round in 0..3 {
            fs::write(&path, "new").expect("written");
            assert_eq!(news(&mut watcher).await, all, "rewritten, round {round}");
            let other = path.with_extension("new");
            fs::write(&other, "newer").expect("written");
            fs::rename(&other, &path).expect("renamed");
            assert_eq!(news(&mut watcher).await, all, "replaced, round {round}");
            fs::remove_file(&path).expect("removed");
            assert_eq!(news(&mut watcher).await, all, "removed, round {round}");
            fs::write(&path, "back").expect("written");
            assert_eq!(news(&mut watcher).await, all, "back, round {round}");
        }
    });
    fs::remove_file(&path).expect("removed");
}
