//! Sends the state that must survive the agent to its supervisor.
//!
//! The whole state goes into a memfd of its own, which the supervisor holds too. Changes after that
//! are appended to it, so that an event costs what it changes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tracing::warn;
use zeroize::Zeroizing;

use super::events::Events;
use super::login_store::LoginStore;
use super::source_set::SourceSet;
use crate::adapters::clock::Clock;
use crate::adapters::handoff::{self, Message};
use crate::domain::credentials::secret_json::{JsonDigest, to_json};
use crate::wire::handoff::{SavedChange, SavedLogin, SavedState};

/// How long after a failure the state is written or sent again.
const RETRY_INTERVAL: SignedDuration = SignedDuration::from_secs(1);
/// How many bytes may be appended to a state before it is written anew, in addition to its own size.
const APPENDED_LIMIT: usize = 64 * 1024;

/// Sends states to the supervisor.
pub struct StateHandoff {
    control: OwnedFd,
    memfd: OwnedFd,
    /// The length of the state in `memfd`, and with the changes after it; `None` while `memfd` is
    /// the previous agent's.
    written: Option<(usize, usize)>,
    /// The state in `memfd`, unless a change was added to it.
    digest: Option<JsonDigest>,
    last_seq: u64,
    /// Whether `memfd` lacks something because it could not be written.
    is_outdated: bool,
    /// Whether the supervisor lacks `memfd`.
    is_unsent: bool,
    /// Whether the supervisor does not know yet that the agent is ready.
    is_ready_unsent: bool,
    /// How the logins are, as reported last.
    status: String,
    unsent_status: Option<String>,
    /// When to try again what failed.
    due: Option<Timestamp>,
    clock: Clock,
    config: Option<serde_json::Value>,
}

impl StateHandoff {
    /// Sends states over `control`. `memfd` holds the state that the previous agent left, and `config`
    /// is the configuration in use.
    pub fn new(
        control: OwnedFd,
        memfd: OwnedFd,
        clock: Clock,
        config: Option<serde_json::Value>,
    ) -> Self {
        Self {
            control,
            memfd,
            written: None,
            digest: None,
            last_seq: 0,
            is_outdated: false,
            is_unsent: false,
            is_ready_unsent: false,
            status: String::new(),
            unsent_status: None,
            due: None,
            clock,
            config,
        }
    }

    /// Reports that every source has been read and published.
    pub fn ready(&mut self) {
        self.is_ready_unsent = true;
        self.send();
    }

    /// Reports how the logins are, if that changed.
    pub fn status(&mut self, status: String) {
        if self.status != status {
            self.status.clone_from(&status);
            self.unsent_status = Some(status);
            self.send();
        }
    }

    /// Hands over the whole state, if it changed.
    pub fn hand_over(&mut self, sources: &SourceSet, logins: &LoginStore, events: &Events) {
        let mut state = SavedState { config: self.config.clone(), ..SavedState::default() };
        sources.save_into(&mut state);
        logins.save_into(&mut state);
        state.events = events.since(0);
        let digest = JsonDigest::of(&state).ok();
        if digest.is_some() && digest == self.digest && !self.is_outdated {
            return;
        }
        let written =
            serialized(&state).and_then(|content| Ok((content.len(), handoff::create(&content)?)));
        match written {
            Ok((length, memfd)) => {
                self.memfd = memfd;
                self.written = Some((length, length));
                self.digest = digest;
                self.last_seq = state.events.last().map_or(self.last_seq, |event| event.seq);
                (self.is_outdated, self.is_unsent) = (false, true);
                self.send();
            }
            Err(error) => {
                self.is_outdated = true;
                self.retry_later("written", &error);
            }
        }
    }

    /// Adds the logins that changed, and all new events. Returns whether the whole state is to be
    /// handed over instead.
    #[must_use]
    pub fn add(&mut self, logins: BTreeMap<String, SavedLogin>, events: &Events) -> bool {
        if self.is_outdated {
            return true;
        }
        let Some((state, end)) = self.written else { return false };
        let events = events.since(self.last_seq);
        let last_seq = events.last().map_or(self.last_seq, |event| event.seq);
        let change = SavedChange { logins, events };
        if change.logins.is_empty() && change.events.is_empty() {
            return false;
        }
        self.digest = None;
        let appended = serialized(&change).and_then(|content| {
            let length = end + content.len();
            let fits = length <= 2 * state + APPENDED_LIMIT;
            if fits {
                handoff::append(self.memfd.as_fd(), end, &content)?;
            }
            Ok(fits.then_some(length))
        });
        // What cannot be appended may still fit into a memfd of its own.
        let Ok(Some(length)) = appended else { return true };
        self.written = Some((state, length));
        self.last_seq = last_seq;
        false
    }

    /// When [`StateHandoff::retry`] is due.
    pub fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Sends again what the supervisor's queue had no room for. A state that could not be written is
    /// handed over after the next [`StateHandoff::add`].
    pub fn retry(&mut self) {
        if self.due.is_some_and(|due| due <= self.clock.now()) {
            self.send();
        }
    }

    /// The last state, for when this process becomes the supervisor itself.
    pub fn into_latest(self) -> OwnedFd {
        self.memfd
    }

    fn send(&mut self) {
        self.due = None;
        match self.send_all() {
            Ok(()) => {}
            // Without a supervisor the agent becomes one, and keeps the state itself.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            // A supervisor that hangs receives the newest state when it resumes.
            Err(error) => self.retry_later("sent to the supervisor", &error),
        }
    }

    fn retry_later(&mut self, what_failed: &str, error: &io::Error) {
        if error.kind() != io::ErrorKind::WouldBlock {
            warn!("the state cannot be {what_failed}: {error}; retrying");
        }
        self.due = self.clock.now().checked_add(RETRY_INTERVAL).ok();
    }

    fn send_all(&mut self) -> io::Result<()> {
        if self.is_unsent {
            let state = Message::SaveState(self.memfd.try_clone()?);
            handoff::send(self.control.as_fd(), &state)?;
            self.is_unsent = false;
        }
        if self.is_ready_unsent {
            handoff::send(self.control.as_fd(), &Message::Ready)?;
            self.is_ready_unsent = false;
        }
        if let Some(status) = &self.unsent_status {
            handoff::send(self.control.as_fd(), &Message::Status(status.clone()))?;
            self.unsent_status = None;
        }
        Ok(())
    }
}

fn serialized(state: &impl Serialize) -> io::Result<Zeroizing<Vec<u8>>> {
    Ok(to_json(state)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;
    use crate::adapters::source_files::FileSources;

    #[tokio::test]
    async fn a_state_is_handed_over_once_until_it_changes() {
        let (control, supervisor) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .unwrap();
        let count = || {
            let receive = || handoff::receive(supervisor.as_fd());
            std::iter::from_fn(|| receive().ok().flatten()).count()
        };
        let clock = Clock::system();
        let now = clock.now();
        let mut state = SavedState::default();
        let files = FileSources::new(Path::new("/none"), &[], BTreeMap::new());
        let (mut sources, logins, events) = (
            SourceSet::new(files, &mut state, true),
            LoginStore::new(&mut state, true),
            Events::default(),
        );
        let memfd = handoff::create(b"").unwrap();
        let mut to_supervisor = StateHandoff::new(control, memfd, clock, None);
        let mut hand_over =
            |sources: &SourceSet| to_supervisor.hand_over(sources, &logins, &events);
        hand_over(&sources);
        assert_eq!(count(), 1);
        hand_over(&sources);
        assert_eq!(count(), 0, "nothing changed");
        let set = [("SERVER", "a.test"), ("USER", "user"), ("PASSWORD", "password")];
        let pushed = set.map(|(end, value)| (format!("A_CONTAINER_REGISTRY_{end}"), value.into()));
        sources.push(pushed.into(), now);
        hand_over(&sources);
        assert_eq!(count(), 1);
        events.record(now, "added", "a", "a was added".to_owned());
        hand_over(&sources);
        assert_eq!(count(), 1);
    }
}
