//! The user at the other end of a connection, and which requests that user may make.

use std::fmt;

use tokio::net::UnixStream;

use crate::adapters::user_namespace::is_overflow;

/// The user at the other end, as reported by the kernel (`SO_PEERCRED`).
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The user ID; `None` if the kernel does not report it, or reports one that stands for every user
    /// whom this user namespace does not map.
    pub uid: Option<u32>,
}

impl Peer {
    /// The peer of a connection.
    pub fn of(stream: &UnixStream) -> Self {
        let uid = stream.peer_cred().ok().map(|peer| peer.uid());
        Self { uid: uid.filter(|&uid| !is_overflow(uid)) }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uid {
            Some(uid) => write!(f, "uid {uid}"),
            None => f.write_str("an unknown user"),
        }
    }
}

/// Which users may make which requests.
#[derive(Debug, Clone, Copy)]
pub struct AccessPolicy {
    /// The user ID that the agent runs as.
    pub owner: u32,
}

impl AccessPolicy {
    /// Only the agent's user and root may read credentials, send environments and issue commands.
    pub fn may_use_secrets(self, peer: Peer) -> bool {
        peer.uid.is_some_and(|uid| uid == self.owner || uid == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_root_may_use_secrets() {
        let rights = AccessPolicy { owner: 1000 };
        for (uid, may) in [(Some(1000), true), (Some(0), true), (Some(1001), false), (None, false)]
        {
            assert_eq!(rights.may_use_secrets(Peer { uid }), may, "{uid:?}");
        }
    }
}
