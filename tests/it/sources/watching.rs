//! What the watcher reports, whatever reads the files.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use registry_agent::adapters::file_watcher::Watcher;
use tokio::runtime::Runtime;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Whether a change is reported within a moment.
async fn changes(watcher: &mut Watcher) -> bool {
    tokio::time::timeout(Duration::from_millis(300), watcher.changed()).await.is_ok()
}

/// Follows the paths, and takes the first reports.
async fn watching(paths: &[&Path]) -> Watcher {
    let mut watcher = Watcher::default();
    watcher.set_paths(paths.iter().map(|path| (*path).to_owned()).collect());
    assert!(changes(&mut watcher).await, "new paths count as changed");
    watcher
}

#[test]
fn a_file_is_reported_when_its_writer_closes_it_and_not_before() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("file");
    fs::write(&path, "old").expect("written");
    runtime().block_on(async {
        let mut watcher = watching(&[&path]).await;
        let mut writer = File::create(&path).expect("truncated");
        writer.write_all(b"ne").expect("written");
        assert!(!changes(&mut watcher).await, "while it is written");
        writer.write_all(b"w").expect("written");
        drop(writer);
        assert!(changes(&mut watcher).await, "when it is closed");
        assert!(!changes(&mut watcher).await, "and no more");
    });
}

#[test]
fn a_truncated_file_is_reported_without_a_close_event() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("file");
    fs::write(&path, "old").expect("written");
    runtime().block_on(async {
        let mut watcher = watching(&[&path]).await;
        nix::unistd::truncate(&path, 1).expect("truncated");
        let later = tokio::time::timeout(Duration::from_secs(20), watcher.changed()).await;
        later.expect("a report");
    });
}

#[test]
fn reading_a_file_or_changing_its_neighbours_is_no_change() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("file");
    fs::write(&path, "old").expect("written");
    runtime().block_on(async {
        let mut watcher = watching(&[&path]).await;
        fs::read(&path).expect("read");
        fs::write(root.path().join("neighbour"), "x").expect("written");
        fs::remove_file(root.path().join("neighbour")).expect("removed");
        drop(OpenOptions::new().read(true).open(&path).expect("opened"));
        assert!(!changes(&mut watcher).await);
    });
}

#[test]
fn each_of_several_paths_is_followed_and_one_that_is_dropped_no_more() {
    let root = tempfile::tempdir().expect("a directory");
    let paths = ["a", "b", "c/d/e"].map(|name| root.path().join(name));
    runtime().block_on(async {
        let mut watcher = watching(&[&paths[0], &paths[1], &paths[2]]).await;
        fs::write(&paths[1], "x").expect("written");
        assert!(changes(&mut watcher).await);
        fs::create_dir_all(root.path().join("c/d")).expect("directories");
        while changes(&mut watcher).await {}
        fs::write(&paths[2], "x").expect("written");
        assert!(changes(&mut watcher).await);
        watcher.set_paths([paths[0].clone()].into());
        while changes(&mut watcher).await {}
        fs::write(&paths[1], "y").expect("written");
        assert!(!changes(&mut watcher).await);
        fs::write(&paths[0], "y").expect("written");
        assert!(changes(&mut watcher).await);
    });
}

#[test]
fn a_file_in_a_busy_top_level_directory_is_followed_by_itself() {
    // The file of the test's own stands for /etc/environment.
    let path = Path::new("/tmp").join(format!("registry-agent-watch-{}", std::process::id()));
    fs::write(&path, "old").expect("written");
    runtime().block_on(async {
        let mut watcher = watching(&[&path]).await;
        for round in 0..3 {
            fs::write(&path, "new").expect("written");
            assert!(changes(&mut watcher).await, "rewritten, round {round}");
            // Somebody still has the file open that is replaced, so it is not gone yet.
            let reader = File::open(&path).expect("opened");
            let other = path.with_extension("new");
            fs::write(&other, "newer").expect("written");
            fs::rename(&other, &path).expect("renamed");
            assert!(changes(&mut watcher).await, "replaced, round {round}");
            while changes(&mut watcher).await {}
            fs::write(&path, "newest").expect("written");
            assert!(changes(&mut watcher).await, "rewritten after that, round {round}");
            drop(reader);
            fs::remove_file(&path).expect("removed");
            assert!(changes(&mut watcher).await, "removed, round {round}");
            fs::write(&path, "back").expect("written");
            assert!(changes(&mut watcher).await, "back, round {round}");
        }
    });
    fs::remove_file(&path).expect("removed");
}

#[test]
fn a_link_in_a_top_level_directory_is_followed_when_it_is_pointed_elsewhere() {
    let link = Path::new("/tmp").join(format!("registry-agent-link-{}", std::process::id()));
    let root = tempfile::tempdir().expect("a directory");
    let targets = ["one", "two"].map(|name| root.path().join(name));
    for target in &targets {
        fs::create_dir(target).expect("a directory");
        fs::write(target.join("file"), "content").expect("written");
    }
    // A link to a file, and a link to the directory that the file is in.
    for rest in ["", "file"] {
        let point_to = |target: &Path| {
            let target = if rest.is_empty() { target.join("file") } else { target.to_owned() };
            symlink(target, link.with_extension("new")).expect("a link");
            fs::rename(link.with_extension("new"), &link).expect("renamed");
        };
        point_to(&targets[0]);
        runtime().block_on(async {
            let path = if rest.is_empty() { link.clone() } else { link.join(rest) };
            let mut watcher = watching(&[&path]).await;
            for target in [&targets[1], &targets[0]] {
                point_to(target);
                assert!(changes(&mut watcher).await, "{path:?} is pointed to {target:?}");
                while changes(&mut watcher).await {}
            }
        });
        fs::remove_file(&link).expect("removed");
    }
}
