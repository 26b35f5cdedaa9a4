//! Faults of declared files, of the docker configuration, and of the disk.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use registry_agent::adapters::clock;

use crate::soak::schedule::{Fault, Step};
use crate::soak::world::{IN_DIRECTORY, IN_FILE, World, pause};

pub(super) fn run(world: &World, step: &Step) {
    let _remembered = world.memory.read().unwrap();
    let config = world.home.path(".docker/config.json");
    match step.fault {
        Fault::FileReplaced if step.choice.is_multiple_of(2) => replace_in_directory(world),
        Fault::FileReplaced => change(world, replace),
        Fault::FileRewritten => change(world, rewrite_in_parts),
        Fault::FileRemoved => removed(world, step.lasts),
        Fault::DirectoryMoved => moved(world, step.lasts),
        Fault::FileMalformed => {
            replace(&world.env_file(), "this is no assignment\n");
            clock::pause(step.lasts);
            change(world, replace);
        }
        Fault::FileIsPipe => instead(&world.env_file(), step.lasts, pipe),
        Fault::FileIsDirectory => is_directory(world, step.lasts),
        Fault::DockerConfigMalformed => instead(&config, step.lasts, |path| {
            fs::write(path, "{ \"credHelpers\": ").unwrap();
        }),
        Fault::DockerConfigIsPipe => instead(&config, step.lasts, pipe),
        Fault::DockerConfigRemoved => {
            let _ = fs::remove_file(config);
        }
        Fault::DockerEntriesDropped => replace(&config, "{ \"psFormat\": \"table\" }\n"),
        Fault::DiskFull => {
            let filler = world.disk.fill();
            clock::pause(step.lasts);
            fs::remove_file(filler).unwrap();
        }
        fault => panic!("{fault:?} is no fault of a file"),
    }
}

/// A new password in the file, written by `write`.
fn change(world: &World, write: impl Fn(&Path, &str)) {
    let account = world.account(IN_FILE);
    let login = world.fresh_login(IN_FILE);
    account.password().begin(Some(login.clone()));
    write(&world.env_file(), &world.env_text(&login));
    world.arrived(account);
}

fn replace_in_directory(world: &World) {
    let account = world.account(IN_DIRECTORY);
    let login = world.fresh_login(IN_DIRECTORY);
    account.password().begin(Some(login.clone()));
    world.write_directory(&login);
    world.arrived(account);
}

fn removed(world: &World, lasts: Duration) {
    let account = world.account(IN_FILE);
    account.password().begin(None);
    fs::remove_file(world.env_file()).unwrap();
    world.arrived(account);
    clock::pause(lasts);
    change(world, |path, text| fs::write(path, text).unwrap());
}

/// An empty directory declares nothing.
fn is_directory(world: &World, lasts: Duration) {
    let account = world.account(IN_FILE);
    let login = account.password().newest();
    let other = world.env_file().with_extension("other");
    fs::create_dir(&other).unwrap();
    account.password().begin(None);
    exchange(&world.env_file(), &other);
    world.arrived(account);
    clock::pause(lasts);
    account.password().begin(login);
    exchange(&world.env_file(), &other);
    world.arrived(account);
    fs::remove_dir(other).unwrap();
}

fn moved(world: &World, lasts: Duration) {
    let account = world.account(IN_DIRECTORY);
    let login = account.password().newest();
    let away = world.secrets_directory().with_extension("away");
    account.password().begin(None);
    fs::rename(world.secrets_directory(), &away).unwrap();
    world.arrived(account);
    clock::pause(lasts);
    account.password().begin(login);
    fs::rename(away, world.secrets_directory()).unwrap();
    world.arrived(account);
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("replacement");
    // The disk may be full.
    if fs::write(&new, text).is_ok() {
        fs::rename(new, path).unwrap();
    }
}

/// A program that writes slowly: the file is incomplete until it is closed.
fn rewrite_in_parts(path: &Path, text: &str) {
    let mut file = fs::File::create(path).unwrap();
    // The second part begins in the middle of the password.
    let (first, second) = text.split_at(text.len() - 4);
    file.write_all(first.as_bytes()).unwrap();
    pause(300);
    file.write_all(second.as_bytes()).unwrap();
}

fn pipe(path: &Path) {
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
}

/// Something else in the place of a file for a while. The path exists at any time.
fn instead(path: &Path, lasts: Duration, make: impl Fn(&Path)) {
    let other = path.with_extension("other");
    make(&other);
    // The docker configuration does not exist while nothing could be written.
    if exchange(path, &other) {
        clock::pause(lasts);
        exchange(path, &other);
    }
    fs::remove_file(other).unwrap();
}

fn exchange(one: &Path, other: &Path) -> bool {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).is_ok()
}
