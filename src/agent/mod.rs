//! The agent: one owner of the logins, the API its clients ask, and the supervisor that keeps it
//! alive.

use std::future::IntoFuture;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub mod api;
pub mod events;
pub mod exchanges;
pub mod gather;
pub mod keeper;
pub mod ledger;
pub mod owner;
pub mod peer;
pub mod publisher;
pub mod refusal;
pub mod supervisor;
pub mod view;
pub mod work;

use self::api::Shared;
use self::events::Events;
use self::gather::Gatherer;
use self::keeper::Keeper;
use self::ledger::Ledger;
use self::owner::{End, Owner};
use self::peer::{Peer, Rights};
use self::publisher::Publisher;
use self::view::View;
use self::work::Worker;
use crate::edge::clock::Clock;
use crate::edge::config::Config;
use crate::edge::http::Http;
use crate::edge::memory;
use crate::edge::paths::Paths;
use crate::edge::sys;
use crate::wire::memory::Memory;

/// What an agent needs of the world, so that a test can give it another one.
pub struct Setup {
    /// Where clients connect.
    pub listener: UnixListener,
    /// The socket to the supervisor.
    pub control: OwnedFd,
    /// What the last agent left.
    pub latest: OwnedFd,
    /// The same, read.
    pub memory: Memory,
    /// The sources.
    pub gatherer: Gatherer,
    /// The configuration.
    pub config: Config,
    /// The user's places.
    pub paths: Paths,
    /// The clock.
    pub clock: Clock,
}

/// How an agent came to its end.
#[derive(Debug)]
pub enum Ending {
    /// Somebody asked it to stop.
    Stopped,
    /// Its process needs another environment.
    Restart,
    /// Its supervisor is gone; the latest state is left.
    Orphaned(OwnedFd),
}

/// Serves until told to stop, until another environment is needed, or until the supervisor dies. The
/// agent lives on one thread, since it mostly waits: call it on a `LocalSet`.
pub async fn run(mut setup: Setup) -> io::Result<Ending> {
    let events = Events::default();
    let stop = CancellationToken::new();
    let (view_in, view) = watch::channel(Arc::new(View::empty(setup.clock.now())));
    let (commands, orders) = mpsc::channel(64);
    let publisher = Publisher::new(&setup.config, &setup.paths, &setup.gatherer);
    let owner = Owner {
        clock: setup.clock.clone(),
        gatherer: setup.gatherer,
        ledger: Ledger::new(&mut setup.memory, setup.config.verify),
        worker: Worker::new(Http::new(), setup.clock.clone(), setup.config.servers),
        publisher,
        keeper: Keeper::new(setup.control.try_clone()?, setup.latest),
        events: events.clone(),
        view: view_in,
    };
    let rights = Rights { owner: setup.paths.uid };
    let shared = Shared { clock: setup.clock, view, commands, events, stop: stop.clone(), rights };

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let supervisor = sys::awaitable(setup.control)?;
    let mut owner = tokio::task::spawn_local(owner.run(orders, stop.clone()));
    // Whoever connects before this point waits in the queue of the socket, so that the first answer
    // comes from an agent that has read everything.
    let mut first_view = shared.view.clone();
    let ready = first_view.wait_for(|view| view.complete);
    let early = tokio::select! {
        _ = ready => None,
        ended = &mut owner => Some(ended),
    };
    if let Some(ended) = early {
        return Ok(ending(ended.map_err(io::Error::other)?, false));
    }
    let server = serve(setup.listener, shared, stop.clone())?;
    let mut orphaned = false;
    let ended = tokio::select! {
        ended = &mut owner => ended,
        _ = terminate.recv() => { stop.cancel(); owner.await }
        _ = interrupt.recv() => { stop.cancel(); owner.await }
        gone = hang_up(&supervisor) => {
            gone?;
            orphaned = true;
            stop.cancel();
            owner.await
        }
    };
    stop.cancel();
    let (end, keeper) = ended.map_err(io::Error::other)?;
    // Answers under way are finished, as far as that takes no longer than a stop may.
    let _ = tokio::time::timeout(supervisor::GRACE / 2, server).await;
    Ok(ending((end, keeper), orphaned))
}

fn ending((end, keeper): (End, Keeper), orphaned: bool) -> Ending {
    match end {
        _ if orphaned => Ending::Orphaned(keeper.into_latest()),
        End::Restart => Ending::Restart,
        End::Stopped => Ending::Stopped,
    }
}

fn serve(
    listener: UnixListener,
    shared: Shared,
    stop: CancellationToken,
) -> io::Result<tokio::task::JoinHandle<io::Result<()>>> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let service = api::router(shared).into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(listener, service)
        .with_graceful_shutdown(async move { stop.cancelled().await });
    Ok(tokio::spawn(server.into_future()))
}

/// Resolves when the supervisor's end of the control socket is closed. It never sends anything.
async fn hang_up(control: &AsyncFd<OwnedFd>) -> io::Result<()> {
    loop {
        let mut guard = control.readable().await?;
        if guard.ready().is_read_closed() {
            return Ok(());
        }
        match memory::receive(control.get_ref().as_fd()) {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
            Err(error) => return Err(error),
        }
    }
}
