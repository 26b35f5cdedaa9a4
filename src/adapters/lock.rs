//! One agent per user and container.
//!
//! The lock is flock(2) on a directory: the kernel releases it when its last holder dies, and
//! systemd-tmpfiles skips a locked directory. Supervisor and agent share the lock, so it survives the
//! death of either.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use nix::libc;
use nix::unistd::Pid;
use tempfile::NamedTempFile;
use thiserror::Error;
use tracing::warn;

use super::ownership;
use super::paths::Paths;
use super::user_namespace::is_overflow;
use crate::domain::reasons::{AgentReason, shell_word};

/// This file exists after `stop`, so that the helper does not start the agent.
const STOPPED: &str = "stopped";

/// This file exists if `run` may take the agent over.
const REPLACEABLE: &str = "replaceable";

/// This file holds the path of the socket.
const SOCKET: &str = "socket";

/// This file holds the process ID of the supervisor.
const SUPERVISOR: &str = "supervisor";

/// Why there is no lock.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("an agent is already running: it holds the lock {}", .0.display())]
    Held(PathBuf),
    /// `$REGISTRY_AGENT_SOCKET` is in a directory that does not exist.
    #[error(
        "REGISTRY_AGENT_SOCKET is in {}, which does not exist: run `mkdir -p {}`",
        .0.display(), shell_word(&.0.to_string_lossy())
    )]
    NoDirectory(PathBuf),
    /// Other users have the same ID.
    #[error("{0}; {fix}", fix = .0.fix())]
    SharedUid(AgentReason),
    /// No directory can be used.
    #[error(
        "no directory can be used for the agent's lock: {0}; set REGISTRY_AGENT_SOCKET to a path in a directory of your own"
    )]
    Unusable(String),
}

/// Takes the lock. It is held as long as the file, or a copy of its descriptor in any process, is open.
pub fn take(paths: &Paths) -> Result<File, LockError> {
    let (dir, file) = open(paths)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LockError::Held(dir)),
        Err(TryLockError::Error(error)) => {
            Err(LockError::Unusable(format!("{}: {error}", dir.display())))
        }
    }
}

/// Whether the lock could be taken. Leaves no directory that was not there.
pub fn try_out(paths: &Paths) -> Result<(), LockError> {
    let existed = has_directory(paths);
    let held = take(paths)?;
    if !existed && let Some(dir) = dir_of_notes(paths) {
        // Nobody can have taken it meanwhile. If it is not empty, it is in use.
        let _ = fs::remove_dir(dir);
    }
    drop(held);
    Ok(())
}

/// Whether `held` is still the directory that others lock.
pub fn is_in_place(paths: &Paths, held: &File) -> bool {
    let Ok(held) = held.metadata() else { return false };
    paths.lock_dirs().iter().any(|dir| {
        fs::symlink_metadata(dir)
            .is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino()))
    })
}

/// Whether a user stopped the agent.
pub fn is_stopped(paths: &Paths) -> bool {
    dir_of_notes(paths).is_some_and(|dir| dir.join(STOPPED).exists())
}

/// Notes that a user stopped the agent, or removes the note.
pub fn set_stopped(paths: &Paths, stopped: bool) -> Result<(), LockError> {
    set_marker(paths, STOPPED, stopped)
}

/// Whether `run` may take the agent over.
pub fn is_replaceable(paths: &Paths) -> bool {
    dir_of_notes(paths).is_some_and(|dir| dir.join(REPLACEABLE).exists())
}

/// Notes whether `run` may take the agent over. Call it with the lock held.
pub fn set_replaceable(paths: &Paths, replaceable: bool) -> Result<(), LockError> {
    set_marker(paths, REPLACEABLE, replaceable)
}

fn set_marker(paths: &Paths, name: &str, exists: bool) -> Result<(), LockError> {
    let (dir, _file) = open(paths)?;
    let marker = dir.join(name);
    let done = if exists { fs::write(&marker, []) } else { remove_if_there(&marker) };
    done.map_err(|error| LockError::Unusable(format!("{}: {error}", marker.display())))
}

/// Notes the socket on which the holder of the lock listens, for clients whose environment names
/// another path.
pub fn note_socket(paths: &Paths, socket: &Path) {
    write_note(paths, SOCKET, socket.as_os_str().as_bytes());
}

/// The socket that was noted last.
pub fn noted_socket(paths: &Paths) -> Option<PathBuf> {
    let noted = read_note(paths, SOCKET)?;
    Some(PathBuf::from(OsString::from_vec(noted)))
}

/// Notes this process as the one to signal when the agent has to stop. Call it with the lock held.
pub fn note_supervisor(paths: &Paths) {
    write_note(paths, SUPERVISOR, process::id().to_string().as_bytes());
}

/// Replaces a note atomically. A full disk must not prevent the agent from running.
pub(super) fn write_note(paths: &Paths, name: &str, content: &[u8]) {
    let written = open(paths).map_err(io::Error::other).and_then(|(dir, _file)| {
        let mut note = NamedTempFile::new_in(&dir)?;
        note.write_all(content)?;
        note.persist(dir.join(name))?;
        Ok(())
    });
    if let Err(error) = written {
        warn!("the note `{name}` cannot be written to the lock directory: {error}");
    }
}

/// The content of a note.
pub(super) fn read_note(paths: &Paths, name: &str) -> Option<Vec<u8>> {
    fs::read(dir_of_notes(paths)?.join(name)).ok()
}

/// Removes a note, if it exists.
pub(super) fn remove_note(paths: &Paths, name: &str) {
    let removed = dir_of_notes(paths).map(|dir| remove_if_there(&dir.join(name)));
    if let Some(Err(error)) = removed {
        warn!("the note `{name}` cannot be removed from the lock directory: {error}");
    }
}

/// The supervisor that was noted last, if it is alive.
pub fn supervisor(paths: &Paths) -> Option<Pid> {
    let dir = dir_of_notes(paths)?;
    let pid: i32 = fs::read_to_string(dir.join(SUPERVISOR)).ok()?.parse().ok()?;
    let pid = Pid::from_raw(pid);
    // The ID may have been reused, even by this process.
    let is_supervisor = pid != Pid::this()
        && ["supervise", "run"].contains(&command_of(pid)?.as_str())
        && uid_of(pid) == Some(paths.uid);
    is_supervisor.then_some(pid)
}

/// Who holds the lock in `dir`, for a message.
pub fn holder(paths: &Paths, dir: &Path) -> String {
    match supervisor(paths) {
        Some(pid) => format!("the agent that is already running (pid {pid})"),
        None => format!("the process that holds the lock {}", dir.display()),
    }
}

/// The agent of that supervisor, if it is alive.
pub fn agent(paths: &Paths) -> Option<Pid> {
    let supervisor = supervisor(paths)?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find_map(|pid| {
        let pid = Pid::from_raw(pid);
        let is_agent = command_of(pid)? == "agent" && parent_of(pid)? == supervisor;
        is_agent.then_some(pid)
    })
}

/// The supervisor that was noted last, if a signal has stopped it: it lives, and starts no agent.
pub fn stopped_supervisor(paths: &Paths) -> Option<Pid> {
    let supervisor = supervisor(paths)?;
    let state = status_of(supervisor, "State:")?;
    state.starts_with(['T', 't']).then_some(supervisor)
}

/// Whether a supervisor is a `run`.
pub fn is_service(supervisor: Pid) -> bool {
    command_of(supervisor).is_some_and(|command| command == "run")
}

/// The command that a process of this program runs.
fn command_of(pid: Pid) -> Option<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|&byte| byte == 0);
    words.next()?.ends_with(b"registry-agent").then_some(())?;
    String::from_utf8(words.next()?.to_vec()).ok()
}

/// The effective user of a process. The owner of its directory in `/proc` is root once it is hardened.
fn uid_of(pid: Pid) -> Option<u32> {
    status_of(pid, "Uid:")?.split_whitespace().nth(1)?.parse().ok()
}

fn parent_of(pid: Pid) -> Option<Pid> {
    status_of(pid, "PPid:")?.parse().ok().map(Pid::from_raw)
}

/// A field of a process's status (`proc_pid_status(5)`).
fn status_of(pid: Pid, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(value.trim().to_owned())
}

/// Removes a file, if it exists.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where notes are read: the directory that [`open`] finds, which also makes one.
fn dir_of_notes(paths: &Paths) -> Option<PathBuf> {
    if is_overflow(paths.uid) {
        return None;
    }
    paths.lock_dirs().into_iter().find(|dir| owned_by(dir, paths.uid))
}

/// The directory of `$REGISTRY_AGENT_SOCKET`, if it does not exist.
pub fn missing_directory(paths: &Paths) -> Option<PathBuf> {
    let socket = paths.sockets().into_iter().next().filter(|_| paths.has_own_socket())?;
    let dir = socket.parent()?;
    let is_missing = fs::metadata(dir).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    is_missing.then(|| dir.to_owned())
}

/// Opens the directory that is locked, which also holds the notes.
pub(super) fn open(paths: &Paths) -> Result<(PathBuf, File), LockError> {
    if is_overflow(paths.uid) {
        return Err(LockError::SharedUid(AgentReason::SharedUid { uid: paths.uid }));
    }
    if let Some((dir, owner)) = foreign_directory(paths) {
        let dir = dir.display();
        return Err(LockError::Unusable(format!(
            "{dir}: it belongs to uid {owner}, who could replace the socket in it"
        )));
    }
    let mut faults = Vec::new();
    for dir in paths.lock_dirs() {
        match open_dir(&dir, paths.uid) {
            Ok(file) => return Ok((dir, file)),
            Err(error) => faults.push(format!("{}: {error}", dir.display())),
        }
    }
    if let Some(dir) = missing_directory(paths) {
        return Err(LockError::NoDirectory(dir));
    }
    Err(LockError::Unusable(faults.join("; ")))
}

/// The directory of `$REGISTRY_AGENT_SOCKET` and its owner, if that is another user and not root.
fn foreign_directory(paths: &Paths) -> Option<(PathBuf, u32)> {
    let socket = paths.sockets().into_iter().next().filter(|_| paths.has_own_socket())?;
    let dir = socket.parent()?;
    let owner = fs::metadata(dir).ok()?.uid();
    (!ownership::is_trusted(owner)).then(|| (dir.to_owned(), owner))
}

/// Opens the directory, or creates it, and checks that it belongs to `uid`: where anyone may write,
/// another user may have created one, or a link, under its name.
fn open_dir(dir: &Path, uid: u32) -> io::Result<File> {
    if let Some(stranger) = ownership::untrusted_owner_above(dir) {
        return Err(io::Error::other(format!("uid {stranger} may replace it")));
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(dir)?;
    let found = file.metadata()?;
    if found.uid() != uid {
        return Err(io::Error::other(format!(
            "it belongs to uid {}, who has to remove it",
            found.uid()
        )));
    }
    if found.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o700))?;
    }
    Ok(file)
}

/// Whether a directory for the lock of this user exists.
pub fn has_directory(paths: &Paths) -> bool {
    dir_of_notes(paths).is_some()
}

/// Whether it is a directory of `uid`.
pub fn owned_by(dir: &Path, uid: u32) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}
