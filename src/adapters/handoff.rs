//! Transfers the state that survives the agent's death without touching a disk.
//!
//! The agent writes its whole state to a new memfd and sends that to its supervisor, which keeps the
//! last one and passes it to the next agent. A state is therefore handed over completely or not at
//! all. Small changes after it are appended to the same memfd.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockFlag, SockType,
    SockaddrStorage, recvmsg, sendmsg, socketpair,
};
use zeroize::Zeroizing;

/// How [`Message::Status`] begins.
const STATUS: &[u8] = b"status ";

/// The longest message that is received whole.
const MESSAGE_LIMIT: usize = 256;

/// A message between an agent and its supervisor, or to a `run` that takes over.
#[derive(Debug)]
pub enum Message {
    /// Replace the saved state with this one.
    SaveState(OwnedFd),
    /// What was taken over is accepted.
    Accepted,
    /// Every source has been read and published.
    Ready,
    /// How the logins are, in one line.
    Status(String),
    /// Read the configuration and the sources again, with this lock and this listening socket.
    Reload {
        /// The lock.
        lock: OwnedFd,
        /// The listening socket.
        listener: OwnedFd,
    },
    /// Hand everything over to the `run` at the other end of this stream.
    HandOver(OwnedFd),
    /// Supervise in place of the sender.
    TakeOver(Descriptors),
}

/// What makes a process the supervisor.
#[derive(Debug)]
pub struct Descriptors {
    /// The lock.
    pub lock: OwnedFd,
    /// The listening socket.
    pub listener: OwnedFd,
    /// The last state.
    pub memfd: OwnedFd,
}

/// Creates a memfd with `content`.
pub fn create(content: &[u8]) -> io::Result<OwnedFd> {
    let name = c"registry-agent";
    let sealed = MFdFlags::MFD_CLOEXEC | MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    let fd = match memfd_create(name, sealed) {
        // Kernels before 6.3 do not support this seal.
        Err(Errno::EINVAL) => memfd_create(name, MFdFlags::MFD_CLOEXEC)?,
        other => other?,
    };
    let mut file = File::from(fd);
    file.write_all(content)?;
    Ok(file.into())
}

/// Adds `content` to a memfd that holds `end` bytes. A reader may find it cut off.
pub fn append(memfd: BorrowedFd<'_>, end: usize, content: &[u8]) -> io::Result<()> {
    // Not at the offset of the descriptor, which its other holders move.
    let file = File::from(memfd.try_clone_to_owned()?);
    file.write_all_at(content, u64::try_from(end).map_err(io::Error::other)?)
}

/// Reads the content of `memfd`; empty if it was never written.
pub fn read(memfd: BorrowedFd<'_>) -> io::Result<Zeroizing<Vec<u8>>> {
    // Not at the offset of the descriptor, which its other holders move.
    let file = File::from(memfd.try_clone_to_owned()?);
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut content = Zeroizing::new(vec![0; length]);
    file.read_exact_at(&mut content, 0)?;
    Ok(content)
}

/// Puts `memfd` into the queue of a socket, for the next program to take from there.
///
/// Until that program has hardened itself, any process of the same user can open its memfds in
/// `/proc`. It cannot open a socket there.
pub fn queue(memfd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let (sender, queue) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    send(sender.as_fd(), &Message::SaveState(memfd.try_clone_to_owned()?))?;
    Ok(queue)
}

/// Takes the memfd from a queue. Call it once this process has hardened itself.
pub fn take_queued(queue: &OwnedFd) -> io::Result<OwnedFd> {
    match receive(queue.as_fd())? {
        Some(Message::SaveState(memfd)) => Ok(memfd),
        _ => Err(io::Error::other("the queue holds no state")),
    }
}

/// Sends `message` to the process at the other end of `control`, unless the queue is full: the
/// agent must never wait for a supervisor that hangs.
pub fn send(control: BorrowedFd<'_>, message: &Message) -> io::Result<()> {
    let status;
    let (word, fds): (&[u8], Vec<RawFd>) = match message {
        Message::SaveState(memfd) => (b"save-state", vec![memfd.as_raw_fd()]),
        Message::Accepted => (b"accepted", Vec::new()),
        Message::Ready => (b"ready", Vec::new()),
        Message::Status(text) => {
            status = [STATUS, text.as_bytes()].concat();
            (&status, Vec::new())
        }
        Message::Reload { lock, listener } => {
            (b"reload", [lock, listener].map(AsRawFd::as_raw_fd).to_vec())
        }
        Message::HandOver(stream) => (b"hand-over", vec![stream.as_raw_fd()]),
        Message::TakeOver(all) => {
            let fds = [&all.lock, &all.listener, &all.memfd];
            (b"take-over", fds.map(AsRawFd::as_raw_fd).to_vec())
        }
    };
    let attached = [ControlMessage::ScmRights(&fds)];
    let attached = if fds.is_empty() { &attached[..0] } else { &attached[..] };
    sendmsg::<SockaddrStorage>(
        control.as_raw_fd(),
        &[IoSlice::new(word)],
        attached,
        MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT,
        None,
    )?;
    Ok(())
}

/// The next message from the process at the other end of `control`; `None` if that end is closed.
/// Fails with `WouldBlock` if there is none yet.
pub fn receive(control: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut word = [0; MESSAGE_LIMIT];
    let mut space = nix::cmsg_space!([RawFd; 3]);
    let mut buffer = [IoSliceMut::new(&mut word)];
    let received: RecvMsg<'_, '_, SockaddrStorage> = match recvmsg(
        control.as_raw_fd(),
        &mut buffer,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT,
    ) {
        Err(Errno::ECONNRESET) => return Ok(None),
        other => other?,
    };
    let length = received.bytes;
    let mut attached = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = message {
            attached.extend(fds.into_iter().map(super::process::own_received_fd));
        }
    }
    let mut attached = attached.into_iter();
    let mut next = || attached.next();
    match (&word[..length], next(), next(), next()) {
        (b"", None, ..) => Ok(None),
        (b"save-state", Some(memfd), ..) => Ok(Some(Message::SaveState(memfd))),
        (b"accepted", None, ..) => Ok(Some(Message::Accepted)),
        (b"ready", None, ..) => Ok(Some(Message::Ready)),
        (word, None, ..) if word.starts_with(STATUS) => {
            let text = String::from_utf8_lossy(&word[STATUS.len()..]);
            Ok(Some(Message::Status(text.into_owned())))
        }
        (b"reload", Some(lock), Some(listener), _) => Ok(Some(Message::Reload { lock, listener })),
        (b"hand-over", Some(stream), ..) => Ok(Some(Message::HandOver(stream))),
        (b"take-over", Some(lock), Some(listener), Some(memfd)) => {
            Ok(Some(Message::TakeOver(Descriptors { lock, listener, memfd })))
        }
        _ => Err(io::Error::other("an unknown message was sent")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reaches_the_other_side_whole() {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .unwrap();
        let state = vec![7; 3_000_000];
        send(ours.as_fd(), &Message::SaveState(create(&state).unwrap())).unwrap();
        send(ours.as_fd(), &Message::Ready).unwrap();
        send(ours.as_fd(), &Message::Status("1 of 1 login ready".to_owned())).unwrap();
        drop(ours);
        let Some(Message::SaveState(memfd)) = receive(theirs.as_fd()).unwrap() else {
            panic!("no state arrived")
        };
        assert!(*read(memfd.as_fd()).unwrap() == state);
        assert!(*read(memfd.as_fd()).unwrap() == state, "a second reading starts at the front");
        assert!(matches!(receive(theirs.as_fd()).unwrap(), Some(Message::Ready)));
        let status = receive(theirs.as_fd()).unwrap();
        assert!(matches!(status, Some(Message::Status(text)) if text == "1 of 1 login ready"));
        assert!(receive(theirs.as_fd()).unwrap().is_none());
    }

    #[test]
    fn processes_that_read_a_state_at_the_same_time_all_read_it_whole() {
        let state = vec![7; 300_000];
        let memfd = create(&state).unwrap();
        let memfd = &memfd;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        assert!(*read(memfd.as_fd()).unwrap() == state);
                    }
                });
            }
        });
    }

    #[test]
    fn a_queued_state_cannot_be_opened_by_its_path_and_is_taken_once() {
        let queue = queue(create(b"state").unwrap().as_fd()).unwrap();
        File::open(format!("/proc/self/fd/{}", queue.as_raw_fd())).unwrap_err();
        assert_eq!(**read(take_queued(&queue).unwrap().as_fd()).unwrap(), *b"state");
        take_queued(&queue).unwrap_err();
    }
}
