//! The agent as a child process of the supervisor, and its control socket.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::adapters::handoff::Descriptors;
use crate::adapters::process::{THIS_PROGRAM, keep_across_exec};

/// Everything that outlives a single agent.
#[derive(Debug)]
pub struct Inherited {
    /// The lock directory, which makes this agent the only one.
    pub lock: File,
    /// The socket on which clients connect.
    pub listener: UnixListener,
    /// The last state that an agent handed over, as a memfd.
    pub memory: OwnedFd,
}

impl From<Descriptors> for Inherited {
    fn from(all: Descriptors) -> Self {
        Self { lock: all.lock.into(), listener: all.listener.into(), memory: all.memory }
    }
}

impl From<Inherited> for Descriptors {
    fn from(all: Inherited) -> Self {
        Self { lock: all.lock.into(), listener: all.listener.into(), memory: all.memory }
    }
}

/// An agent that is a child of this process.
#[derive(Debug)]
pub struct RunningAgent {
    /// Its process ID.
    pub pid: Pid,
    /// The supervisor's end of the control socket.
    pub control: OwnedFd,
}

impl RunningAgent {
    /// Starts an agent with the state that the previous one left.
    pub fn spawn(inherited: &Inherited, foreground: bool) -> io::Result<Self> {
        let (control, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let mut command = Command::new(THIS_PROGRAM);
        command.arg0("registry-agent").args(arguments("agent", inherited)?);
        command.arg(argument("control", theirs.as_fd())?);
        if foreground {
            command.arg("--foreground");
        }
        // The environment of this process was cleared of secrets at startup.
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        Ok(Self { pid: Pid::from_raw(child.id().cast_signed()), control })
    }

    /// Asks the agent to end. A stopped process handles a signal only after it is continued.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
    }

    /// Kills the agent.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// The agent's exit status; `None` while it runs. Also reaps other children: as PID 1 of a
    /// container this process inherits every orphan.
    pub fn try_wait(&self) -> io::Result<Option<WaitStatus>> {
        reap_orphans(Some(self.pid))?;
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::StillAlive => Ok(None),
            ended => Ok(Some(ended)),
        }
    }

    fn signal(&self, signal: Signal) {
        // The process stays a zombie until it is waited for, so the PID cannot have been reused.
        let _ = kill(self.pid, signal);
    }
}

/// Reaps dead children, but not the agent itself.
pub fn reap_orphans(agent: Option<Pid>) -> io::Result<()> {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        match waitid(Id::All, peek) {
            Ok(ended) => match ended.pid() {
                Some(pid) if Some(pid) != agent => {
                    waitpid(pid, Some(WaitPidFlag::WNOHANG))?;
                }
                _ => return Ok(()),
            },
            Err(Errno::ECHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The arguments that pass the descriptors of [`Inherited`] to the next process; see
/// [`crate::cli`].
pub fn arguments(command: &str, inherited: &Inherited) -> io::Result<Vec<String>> {
    Ok(vec![
        command.to_owned(),
        argument("lock", inherited.lock.as_fd())?,
        argument("listener", inherited.listener.as_fd())?,
        argument("memory", inherited.memory.as_fd())?,
    ])
}

/// The argument that passes one descriptor, which is kept open across exec.
pub fn argument(name: &str, fd: BorrowedFd<'_>) -> io::Result<String> {
    keep_across_exec(fd)?;
    Ok(format!("--{name}={}", fd.as_raw_fd()))
}
