//! Waits until no login is pending, for `wait`, `start` and `sync`.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use super::change_feed::{Change, ChangeFeed};
use super::output::{REQUEST_TIMEOUT, server_for_people};
use super::progress::Progress;
use super::selection;
use super::status_report::label;
use crate::adapters::agent_client::{self, ClientError};
use crate::adapters::clock;
use crate::adapters::lock::{self, LockError};
use crate::adapters::paths::Paths;
use crate::domain::reasons::shell_word;
use crate::wire::api::{RegistryDocument, StatusDocument, parse_printable};

/// How long an agent may be absent while nobody starts one.
const ABSENCE: Duration = Duration::from_secs(3);
/// How long a command waits on a terminal for the logins that it may have changed.
const SHORT_WAIT: Duration = Duration::from_secs(5);
/// The pause before looking for an agent again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The logins to wait for: these names or servers, or all of them.
pub struct Awaited<'a> {
    /// Names or servers; empty for all.
    pub names: &'a [String],
    /// When to give up.
    pub deadline: Instant,
}

/// The status in the end. It may have pending logins if the time is up.
pub fn settle(
    paths: &Paths,
    awaited: &Awaited<'_>,
    progress: &mut Progress,
) -> Result<StatusDocument, ClientError> {
    let mut absent_since = None;
    loop {
        let error = match follow(paths, awaited, progress) {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => {
                absent_since = None;
                continue;
            }
            Err(error) => error,
        };
        let may_come = match error {
            ClientError::NoAgent | ClientError::Broken(_) => {
                let since = *absent_since.get_or_insert_with(Instant::now);
                since.elapsed() < ABSENCE || is_starting(paths)
            }
            ClientError::TimedOut => true,
            _ => false,
        };
        if !may_come || awaited.remaining().is_zero() {
            progress.end();
            return Err(error);
        }
        progress.show_absence(awaited.remaining());
        clock::pause(RECONNECT_PAUSE.min(awaited.remaining()));
    }
}

/// The status once the logins are settled, or after `wait`. By default, waits a moment on a terminal,
/// where a person reads the result, and not at all elsewhere.
pub fn settled_soon(paths: &Paths, wait: Option<Duration>) -> anyhow::Result<StatusDocument> {
    let default = if io::stdout().is_terminal() { SHORT_WAIT } else { Duration::ZERO };
    let awaited = Awaited { names: &[], deadline: Instant::now() + wait.unwrap_or(default) };
    if !awaited.remaining().is_zero()
        && let Ok(status) = settle(paths, &awaited, &mut Progress::line_only())
    {
        return Ok(status);
    }
    // The agent may just have been restarted.
    let status = agent_client::ask(paths, "GET", "/v1/status", b"", REQUEST_TIMEOUT)?;
    Ok(parse_printable(&status)?)
}

/// The pending ones of these logins, what each waits for, and how to see more.
pub fn still_pending<'a>(
    registries: impl IntoIterator<Item = &'a RegistryDocument>,
) -> Option<String> {
    let pending = registries.into_iter().filter(|registry| registry.state == "pending");
    let pending: Vec<&RegistryDocument> = pending.collect();
    let part = |login: &&RegistryDocument| {
        let awaited = login.proxy.as_ref().map_or_else(
            || server_for_people(&login.server).to_owned(),
            |proxy| format!("{} through {proxy}", server_for_people(&login.server)),
        );
        format!("{}, which waits for {awaited}", label(login))
    };
    let what = match pending[..] {
        [] => return None,
        [login] => format!(" {}", shell_word(label(login))),
        _ => String::new(),
    };
    let parts = pending.iter().map(part).collect::<Vec<_>>().join("; ");
    Some(format!("still pending: {parts}; to see more, run `registry-agent check{what}`"))
}

/// Follows one agent. `None` if it goes away.
fn follow(
    paths: &Paths,
    awaited: &Awaited<'_>,
    progress: &mut Progress,
) -> Result<Option<StatusDocument>, ClientError> {
    let feed = ChangeFeed::default();
    let remaining = awaited.remaining();
    let timeout = if remaining.is_zero() { REQUEST_TIMEOUT } else { remaining };
    let mut status = feed.follow_status(paths, timeout)?;
    loop {
        let remaining = awaited.remaining();
        if awaited.is_settled(&status) || remaining.is_zero() {
            progress.end();
            return Ok(Some(status));
        }
        progress.name_missing(&status, awaited);
        progress.show(&status, awaited);
        match feed.next_within(progress.patience().min(remaining)) {
            None => {}
            Some(Change::Status(next)) => status = *next,
            // The agent restarts, or the time is up.
            Some(Change::Ended | Change::Signal(_)) if remaining.is_zero() => {}
            Some(Change::Ended | Change::Signal(_)) => return Ok(None),
        }
    }
}

/// Whether another process holds the lock, so that its agent can still appear.
fn is_starting(paths: &Paths) -> bool {
    matches!(lock::try_out(paths), Err(LockError::Held(_)))
}

impl Awaited<'_> {
    /// The time left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The logins of `status` to wait for.
    pub fn selected<'b>(
        &'b self,
        status: &'b StatusDocument,
    ) -> impl Iterator<Item = &'b RegistryDocument> {
        let named = self.names.iter().flat_map(|name| selection::find(&status.registries, name));
        let named: Vec<&str> = named.map(|registry| registry.server.as_str()).collect();
        let is_selected = move |it: &&RegistryDocument| {
            self.names.is_empty() || named.contains(&it.server.as_str())
        };
        status.registries.iter().filter(is_selected)
    }

    /// The names that no login has.
    pub fn missing(&self, status: &StatusDocument) -> Vec<&str> {
        let has = |name: &&String| !selection::find(&status.registries, name).is_empty();
        self.names.iter().filter(|name| !has(name)).map(String::as_str).collect()
    }

    /// Whether every awaited login is there and none is pending.
    pub fn is_settled(&self, status: &StatusDocument) -> bool {
        if self.names.is_empty() {
            return status.settled;
        }
        self.missing(status).is_empty() && self.selected(status).all(|it| it.state != "pending")
    }
}
