//! `reset`: stops the agent and removes everything that it wrote, before it is uninstalled.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use nix::unistd::Uid;

use super::output::{Failed, print_note, stdout};
use super::stop::end_running;
use super::user::become_configured_user;
use crate::adapters::client_files::ClientFiles;
use crate::adapters::docker_config::{self, DockerConfig};
use crate::adapters::paths::{Paths, SYSTEM_RUNTIME_DIR};
use crate::adapters::process::{THIS_PROGRAM, become_user};
use crate::adapters::{lock, passwd};
use crate::domain::client_files::WantedClientFiles;

/// `registry-agent reset`; `user` is the one that root asks it for.
pub fn reset(all_users: bool, user: Option<&str>) -> anyhow::Result<ExitCode> {
    if all_users {
        return reset_all_users();
    }
    let paths = match user {
        Some(name) => become_named(name)?,
        // A configuration that cannot be read must not prevent its removal.
        None => become_configured_user().unwrap_or_else(|_| Paths::of_this_process()),
    };
    stop_and_remove(&paths)
}

/// Runs the command once for each user with files of an agent, as that user: root must not follow
/// links in directories of others.
fn reset_all_users() -> anyhow::Result<ExitCode> {
    if !Uid::effective().is_root() {
        bail!("only root can reset all users: run `sudo registry-agent reset --all-users`");
    }
    let mut failed = false;
    for user in passwd::all()? {
        let paths = Paths::of_user(&user);
        if traces(&paths).iter().any(|path| lock::owned_by(path, user.uid)) {
            let reset = Command::new(THIS_PROGRAM)
                .args(["reset", "--user", &user.name])
                .env_clear()
                .status()
                .with_context(|| format!("the agent of {} cannot be reset", user.name))?;
            failed |= !reset.success();
        }
    }
    // Only root can make this one, for the user of the agent.
    failed |= remove(Path::new(SYSTEM_RUNTIME_DIR)).is_err();
    if failed { Err(Failed(1).into()) } else { Ok(ExitCode::SUCCESS) }
}

fn become_named(name: &str) -> anyhow::Result<Paths> {
    let user = passwd::by_name(name)?.with_context(|| format!("there is no user {name}"))?;
    if Uid::effective().as_raw() != user.uid {
        become_user(&user)
            .with_context(|| format!("this process is not allowed to switch to the user {name}"))?;
    }
    Ok(Paths::of_user(&user))
}

fn stop_and_remove(paths: &Paths) -> anyhow::Result<ExitCode> {
    let noted = lock::set_stopped(paths, true);
    let mut out = stdout();
    // Without a directory for its lock there is no agent: others may have taken all the names.
    if lock::has_directory(paths) {
        noted?;
        if end_running(paths)? {
            writeln!(out, "stopped the agent")?;
        }
    }
    withdraw_entries(paths, &mut out)?;
    let mut failed = false;
    for path in traces(paths) {
        // In a directory for everyone, another user may have made something of this name.
        if !lock::owned_by(&path, paths.uid) {
            continue;
        }
        match remove(&path) {
            Ok(()) => writeln!(out, "removed {}", path.display())?,
            Err(Failed(_)) => failed = true,
        }
    }
    if failed { Err(Failed(1).into()) } else { Ok(ExitCode::SUCCESS) }
}

/// Removes the agent's entries from every configuration that has some.
fn withdraw_entries(paths: &Paths, out: &mut impl Write) -> anyhow::Result<()> {
    let state_dir = paths.state_dir();
    let own = std::env::var("DOCKER_CONFIG").ok();
    let mut files: BTreeSet<PathBuf> = docker_config::recorded(&state_dir).into_iter().collect();
    files.insert(paths.docker_config_file(own.as_deref()));
    let mut withdrawn: Vec<_> = files
        .into_iter()
        .map(|file| (DockerConfig::new(&file, true, &state_dir).withdraw(), file))
        .collect();
    if !paths.has_no_home() {
        let reports = ClientFiles::new(paths, true).publish(&WantedClientFiles::default());
        let reports = reports.map(|it| (it.outcome.map(|outcome| outcome.changed), it.path));
        withdrawn.extend(reports);
    }
    let mut failed = false;
    for (changed, file) in withdrawn {
        match changed {
            Ok(true) => {
                writeln!(out, "removed the entries of registry-agent from {}", file.display())?;
            }
            Ok(false) => {}
            Err(reason) => {
                print_note(&format!("{reason}; fix: {}", reason.fix()));
                failed = true;
            }
        }
    }
    if failed {
        print_note(&format!("{} stays: it records these entries", state_dir.display()));
        return Err(Failed(1).into());
    }
    Ok(())
}

/// The directories of the state, the lock and the socket.
fn traces(paths: &Paths) -> Vec<PathBuf> {
    std::iter::once(paths.state_dir()).chain(paths.lock_dirs()).collect()
}

/// Removes a directory with all that is in it, if it exists. Prints why it stays.
fn remove(directory: &Path) -> Result<(), Failed> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            print_note(&format!("{} cannot be removed: {error}", directory.display()));
            Err(Failed(1))
        }
        _ => Ok(()),
    }
}
