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
    pub memfd: OwnedFd,
    /// The connection to the agent that is taken over, until the next one has accepted.
    pub previous: Option<OwnedFd>,
}

impl Inherited {
    /// Copies of the descriptors, to send to another process.
    pub fn descriptors(&self) -> io::Result<Descriptors> {
        Ok(Descriptors {
            lock: self.lock.try_clone()?.into(),
            listener: self.listener.try_clone()?.into(),
            memfd: self.memfd.try_clone()?,
        })
    }
}

/// The exit status of an agent whose predecessor does not let it take over.
pub const REFUSED: u8 = 3;

/// How an agent ended.
#[derive(Debug)]
pub enum AgentStatus {
    /// It was asked to stop.
    Stopped,
    /// The agent that it was to take over serves again.
    Refused,
    /// It died. Contains how, as the end of a sentence.
    Died(String),
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
    /// Starts an agent with the state that the previous one left. `after` says what became of that
    /// one, as the end of a sentence.
    pub fn spawn(inherited: &Inherited, foreground: bool, after: Option<&str>) -> io::Result<Self> {
        let (control, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let mut command = Command::new(THIS_PROGRAM);
        let (arguments, _queue) = arguments("agent", inherited)?;
        command.arg0("registry-agent").args(arguments);
        command.arg(argument("control", theirs.as_fd())?);
        if foreground {
            command.arg("--foreground");
        }
        command.args(after.map(|after| format!("--after={after}")));
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
    pub fn reload(&self, inherited: &Inherited) -> io::Result<()> {
        let Descriptors { lock, listener, .. } = inherited.descriptors()?;
        handoff::send(self.control.as_fd(), &Message::Reload { lock, listener })
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

    /// How the agent ended; `None` while it runs. Also reaps other children: as PID 1 of a container
    /// this process inherits every orphan.
    pub fn try_wait(&self) -> io::Result<Option<AgentStatus>> {
        reap_orphans(Some(self.pid))?;
        let refused = i32::from(REFUSED);
        Ok(Some(match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(WaitStatus::Exited(_, 0)) => AgentStatus::Stopped,
            Ok(WaitStatus::Exited(_, code)) if code == refused => AgentStatus::Refused,
            Ok(WaitStatus::Exited(_, code)) => {
                AgentStatus::Died(format!("ended with exit status {code}"))
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                AgentStatus::Died(format!("was killed by signal {} ({signal})", signal as i32))
            }
            Ok(other) => AgentStatus::Died(format!("ended ({other:?})")),
            // Something else has reaped it. This process must not end: it holds the state.
            Err(Errno::ECHILD) => AgentStatus::Died("ended for an unknown reason".to_owned()),
            Err(error) => return Err(error.into()),
        }))
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
    let queue = handoff::queue(inherited.memfd.as_fd())?;
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
