//! Process attributes: inherited descriptors, environment, privileges, user, exec.
//!
//! This is the only file with `unsafe` code.

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsString, c_int};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use command_fds::inherited::{init_inherited_fds, take_fd_ownership};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Gid, Uid, execve, setgid, setgroups, setuid};
use tokio::io::unix::AsyncFd;

use super::passwd::User;

/// The running program, even after its file was replaced.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Takes ownership of every descriptor beyond standard error that this process inherited. None of
/// them reaches a child; [`take_inherited`] hands out those intended for this program.
///
/// Call it before any file is opened.
pub fn adopt_inherited() -> io::Result<()> {
    // SAFETY: this is called before anything has opened a descriptor, so no other owner exists.
    #[expect(unsafe_code, reason = "descriptors from outside have no owner until one is declared")]
    unsafe {
        init_inherited_fds()
    }
}

/// The inherited descriptor `fd`, which is close-on-exec from here on.
pub fn take_inherited(fd: RawFd) -> io::Result<OwnedFd> {
    take_fd_ownership(fd).map_err(io::Error::other)
}

/// Takes ownership of a descriptor that the kernel has just received with a message.
pub(super) fn own_received_fd(received: RawFd) -> OwnedFd {
    // SAFETY: recvmsg(2) made the descriptor for this call alone; nothing else knows its number.
    #[expect(unsafe_code, reason = "nix hands received descriptors out as bare numbers")]
    unsafe {
        OwnedFd::from_raw_fd(received)
    }
}

/// Registers a descriptor with the runtime, so that tasks can wait for its readiness. Requires a
/// runtime.
pub fn awaitable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` keeps its one descriptor open until it is dropped.
    #[expect(unsafe_code, reason = "tokio cannot know which owners keep their descriptor")]
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// Keeps `fd` open for the next program in this process or in a child.
pub fn keep_across_exec(fd: impl AsFd) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// Protects the secrets of this process: no core dumps, no tracing, no access to its memory or
/// environment by other processes of the same user, no new privileges.
pub fn harden() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    Ok(())
}

/// Lets this process open as many files and sockets as it may, and returns how many. More than
/// 65,536 are of no use here, and slow down programs that close all possible descriptors.
pub fn raise_descriptor_limit() -> io::Result<usize> {
    const ENOUGH: u64 = 65_536;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = soft.max(hard.min(ENOUGH));
    setrlimit(Resource::RLIMIT_NOFILE, raised, hard)?;
    Ok(usize::try_from(raised).unwrap_or(usize::MAX))
}

/// Ends this process when the thread that started it ends.
pub fn end_with_parent() -> io::Result<()> {
    Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)
}

/// Whether another process has `file` open for writing. Until [`stop_waiting`] or until the file is
/// closed, opening it for writing blocks.
///
/// `None` if the kernel cannot tell: the file belongs to another user, or its file system does not
/// support leases (`F_SETLEASE` in `fcntl(2)`). The file must be open only for reading.
pub fn has_writer(file: &File) -> Option<bool> {
    match lease(file, libc::F_RDLCK) {
        Ok(()) => Some(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(true),
        Err(_) => None,
    }
}

/// Makes every process that opens `file` wait until it is closed here, if the kernel supports that
/// (a write lease, `fcntl(2)`).
pub fn keep_closed_to_others(file: &File) {
    // Without the lease, others may see the file a moment too early, as on any file system without
    // leases.
    let _ = lease(file, libc::F_WRLCK);
}

/// Releases the processes that wait because of [`has_writer`].
pub fn stop_waiting(file: &File) {
    // Without a lease there is nothing to release.
    let _ = lease(file, libc::F_UNLCK);
}

fn lease(file: &File, kind: c_int) -> io::Result<()> {
    /// The value on Linux for every architecture (`include/uapi/asm-generic/fcntl.h`).
    const F_SETSIG: c_int = 10;
    let fd = file.as_raw_fd();
    let control = |command, argument: c_int| {
        // SAFETY: the descriptor is open while `file` is borrowed, and neither of the commands
        // below takes a pointer.
        #[expect(unsafe_code, reason = "nix has no leases")]
        let outcome = unsafe { libc::fcntl(fd, command, argument) };
        if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // When a process opens the file during a lease, the kernel signals us. SIGURG is ignored by
    // default, unlike SIGIO, which would end the process.
    control(F_SETSIG, libc::SIGURG)?;
    control(libc::F_SETLEASE, kind)
}

/// Unblocks all signals. Call it before any thread is started.
pub fn unblock_signals() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Lets this process wait for its children. A program inherits that SIGCHLD is ignored, and the kernel
/// then reaps its children without telling how they ended.
pub fn watch_children() -> io::Result<()> {
    // SAFETY: the default action runs no code of ours.
    #[expect(unsafe_code, reason = "a handler could do anything; the default does not")]
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    Ok(())
}

/// Sets the name that `ps` shows, because the program is started through `/proc/self/exe`.
pub fn set_name(name: &CStr) {
    // A wrong name is harmless.
    let _ = prctl::set_name(name);
}

/// Permanently switches to `user`: supplementary groups, group, user.
pub fn become_user(user: &User) -> io::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    setgroups(&groups)?;
    setgid(Gid::from_raw(user.gid))?;
    setuid(Uid::from_raw(user.uid))?;
    Ok(())
}

/// Replaces this process with a new instance of this program, with `arguments` and exactly
/// `environment`.
pub fn reexec(
    arguments: &[String],
    environment: &[(&'static str, OsString)],
) -> io::Result<Infallible> {
    let program = CString::new(THIS_PROGRAM)?;
    let arguments = std::iter::once("registry-agent")
        .chain(arguments.iter().map(String::as_str))
        .map(CString::new)
        .collect::<Result<Vec<_>, _>>()?;
    let environment = environment
        .iter()
        .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(execve(&program, &arguments, &environment)?)
}
