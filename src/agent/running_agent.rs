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
use tracing::warn;

use crate::adapters::handoff::{self, Descriptors, Message};
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
    /// The connection to the agent that was taken over, until the next one has accepted.
    pub previous: Option<OwnedFd>,
}

impl Inherited {
    /// Copies of the descriptors, to send to another process.
    pub fn descriptors(&self) -> io::Result<Descriptors> {
        Ok(Descriptors {
            lock: self.lock.try_clone()?.into(),
            listener: self.listener.try_clone()?.into(),
            memory: self.memory.try_clone()?,
        })
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
        let (arguments, _queue) = arguments("agent", inherited)?;
        command.arg0("registry-agent").args(arguments);
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

    /// Asks the agent to read the configuration and the sources again, with the current lock and
    /// listening socket.
    pub fn reload(&self, inherited: &Inherited) {
        let sent = inherited.descriptors().and_then(|all| {
            let reload = Message::Reload { lock: all.lock, listener: all.listener };
            handoff::send(self.control.as_fd(), &reload)
        });
        if let Err(error) = sent {
            warn!("the agent cannot be asked to reload: {error}");
        }
    }

    /// Asks the agent to hand everything over to the `run` at the other end of `stream`. Returns
    /// whether it will read the request.
    pub fn hand_over(&self, stream: &OwnedFd) -> bool {
        let sent = stream
            .try_clone()
            .and_then(|stream| handoff::send(self.control.as_fd(), &Message::HandOver(stream)));
        // A stopped process reads it only after it is continued.
        self.signal(Signal::SIGCONT);
        sent.is_ok()
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

/// The arguments that pass the descriptors of [`Inherited`] to the next process (see
/// [`crate::cli`]), and the queue that holds the state until that process takes it.
pub fn arguments(command: &str, inherited: &Inherited) -> io::Result<(Vec<String>, OwnedFd)> {
    let queue = handoff::queue(inherited.memory.as_fd())?;
    let mut arguments = vec![
        command.to_owned(),
        argument("lock", inherited.lock.as_fd())?,
        argument("listener", inherited.listener.as_fd())?,
        argument("state", queue.as_fd())?,
    ];
    if let Some(previous) = &inherited.previous {
        arguments.push(argument("previous", previous.as_fd())?);
    }
    Ok((arguments, queue))
}

/// The argument that passes one descriptor, which is kept open across exec.
pub fn argument(name: &str, fd: BorrowedFd<'_>) -> io::Result<String> {
    keep_across_exec(fd)?;
    Ok(format!("--{name}={}", fd.as_raw_fd()))
}
