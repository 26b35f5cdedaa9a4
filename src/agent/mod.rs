//! The agent: one controller that owns the logins, the API for clients, and the supervisor that
//! keeps the agent running.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub mod api;
mod client_file_thread;
pub mod command;
pub mod config_watch;
pub mod controller;
pub mod counters;
pub mod events;
pub mod exchanges;
mod login_entry;
pub mod login_store;
pub mod publisher;
mod publisher_thread;
pub mod running_agent;
mod service_status;
pub mod source_set;
pub mod state_handoff;
pub mod stored_login_writer;
pub mod supervisor;
pub mod unanswered_push;
pub mod view;
pub mod workers;

use self::api::ApiState;
use self::api::peer::AccessPolicy;
use self::config_watch::ConfigWatch;
use self::controller::Controller;
use self::counters::Counters;
use self::events::Events;
use self::login_store::LoginStore;
use self::publisher::Publisher;
use self::source_set::SourceSet;
use self::state_handoff::StateHandoff;
use self::stored_login_writer::StoredLoginWriter;
use self::supervisor::signals::Signals;
use self::view::View;
use self::workers::WorkerPool;
use crate::adapters::clock::Clock;
use crate::adapters::config::Config;
use crate::adapters::handoff::{self, Message};
use crate::adapters::paths::Paths;
use crate::adapters::process;
use crate::adapters::pushed_record;
use crate::wire::handoff::SavedState;

/// The environment an agent runs in, which tests can replace.
pub struct AgentSetup {
    /// The socket on which clients connect.
    pub listener: UnixListener,
    /// The control socket to the supervisor.
    pub control: OwnedFd,
    /// The state that the previous agent left, as a memfd.
    pub latest: OwnedFd,
    /// The same state, parsed.
    pub state: SavedState,
    /// How it started, for the events; `None` if the process only executed itself again.
    pub start: Option<String>,
    /// The sources.
    pub sources: SourceSet,
    /// The configuration.
    pub config: Config,
    /// Watches the configuration files.
    pub config_watch: ConfigWatch,
    /// The paths of the user.
    pub paths: Paths,
    /// Whether an init system wants to know how the logins are.
    pub reports_status: bool,
    /// The clock.
    pub clock: Clock,
}

/// The subject of the events about the agent itself.
const EVENT_SUBJECT: &str = "agent";

/// Why an agent ended.
#[derive(Debug)]
pub enum AgentExit {
    /// It was asked to stop.
    Stopped,
    /// Its supervisor is gone. Contains the latest state.
    Orphaned(OwnedFd),
    /// Its supervisor asks for something else. Contains the latest state.
    Asked(Message, OwnedFd),
    /// The configuration has changed. Contains the latest state.
    Reconfigured(OwnedFd),
}

/// Runs until told to stop or until the supervisor dies. The agent uses a single thread, because it
/// mostly waits: call this within a `LocalSet`.
pub async fn run(setup: AgentSetup) -> io::Result<AgentExit> {
    let (inherited_state, paths) = (setup.latest.try_clone()?, setup.paths.clone());
    let mut agent = Agent::start(setup)?;
    let first_view = agent.view.clone();
    let (cause, ended) = agent.wait().await?;
    if let ExitCause::Stop = cause {
        let (now, detail) = (agent.clock.now(), "the agent stopped".to_owned());
        agent.events.record(now, "agent-stopped", EVENT_SUBJECT, detail);
        pushed_record::forget(&paths);
    }
    agent.stop.cancel();
    let controller = match ended {
        Some(controller) => Some(controller),
        None if first_view.borrow().complete => {
            Some(agent.controller.await.map_err(io::Error::other)?)
        }
        // It has not read everything yet, so its own state would lack something.
        None => None,
    };
    if let ExitCause::Orphaned = cause {
        // No other process has the state now, so pass it on before waiting for anything.
        let latest = controller.map_or(inherited_state, Controller::into_latest);
        return Ok(AgentExit::Orphaned(latest));
    }
    let latest = match controller {
        Some(controller) => controller.close().await,
        None => inherited_state,
    };
    // Finish responses in progress, but stay within the time allowed for stopping.
    if let Some(server) = agent.server {
        let _ = tokio::time::timeout(supervisor::STOP_GRACE / 2, server).await;
    }
    Ok(match cause {
        ExitCause::Asked(message) => AgentExit::Asked(message, latest),
        ExitCause::Reconfigured => AgentExit::Reconfigured(latest),
        ExitCause::Stop | ExitCause::Orphaned => AgentExit::Stopped,
    })
}

/// The parts of a running agent.
struct Agent {
    controller: JoinHandle<Controller>,
    supervisor: AsyncFd<OwnedFd>,
    view: watch::Receiver<Arc<View>>,
    reload: CancellationToken,
    stop: CancellationToken,
    events: Events,
    clock: Clock,
    /// What the server needs. Clients that connect before the first view is complete wait in the
    /// socket's queue, so the first response comes from an agent that has read everything.
    starting: Option<(UnixListener, ApiState)>,
    server: Option<JoinHandle<()>>,
}

/// Why the agent stops serving.
enum ExitCause {
    Stop,
    Orphaned,
    Asked(Message),
    Reconfigured,
}

impl Agent {
    fn start(mut setup: AgentSetup) -> io::Result<Self> {
        let events = Events::restored(std::mem::take(&mut setup.state.events));
        if let Some(detail) = setup.start.take() {
            events.record(setup.clock.now(), "agent-started", EVENT_SUBJECT, detail);
        }
        let (stop, reload) = (CancellationToken::new(), CancellationToken::new());
        let counters = Counters::default();
        let (view_in, view) = watch::channel(Arc::new(View::empty(setup.clock.now())));
        let (commands, command_queue) = mpsc::channel(64);
        let publisher = Publisher::new(&setup.config, &setup.paths, setup.clock.clone())?;
        let controller = Controller {
            clock: setup.clock.clone(),
            sources: setup.sources,
            stored_logins: StoredLoginWriter::new(&setup.paths.state_dir())?,
            logins: LoginStore::new(&mut setup.state, setup.config.verify),
            workers: WorkerPool::new(setup.config.servers.clone())?,
            publisher,
            handoff_to_supervisor: StateHandoff::new(
                setup.control.try_clone()?,
                setup.latest,
                setup.clock.clone(),
                serde_json::to_value(&setup.config).ok(),
            ),
            reports_status: setup.reports_status,
            config_watch: setup.config_watch,
            reload: reload.clone(),
            events: events.clone(),
            counters: counters.clone(),
            view: view_in,
            unanswered_pushes: Vec::new(),
            unanswered_changes: Vec::new(),
        };
        let api_state = ApiState {
            clock: setup.clock.clone(),
            view: view.clone(),
            commands,
            events: events.clone(),
            counters,
            others_turn: Arc::new(Semaphore::new(1)),
            stop: stop.clone(),
            rights: AccessPolicy { owner: setup.paths.uid },
        };
        Ok(Self {
            controller: tokio::task::spawn_local(controller.run(command_queue, stop.clone())),
            supervisor: process::awaitable(setup.control)?,
            view,
            reload,
            stop,
            events,
            clock: setup.clock,
            starting: Some((setup.listener, api_state)),
            server: None,
        })
    }

    /// Serves until there is a cause to exit. Returns the controller if that has ended already.
    async fn wait(&mut self) -> io::Result<(ExitCause, Option<Controller>)> {
        let signals = Signals::of_agent()?;
        let readable = process::awaitable(signals.as_fd().try_clone_to_owned()?)?;
        let mut view = self.view.clone();
        let mut ready = pin!(view.wait_for(|view| view.complete));
        loop {
            tokio::select! {
                _ = &mut ready, if self.starting.is_some() => {
                    if let Some((listener, api_state)) = self.starting.take() {
                        listener.set_nonblocking(true)?;
                        let listener = tokio::net::UnixListener::from_std(listener)?;
                        let server = api::server::serve(listener, api_state, self.stop.clone());
                        self.server = Some(tokio::spawn(server));
                    }
                }
                // A request to stop over the socket is meant for the supervisor: without one, only
                // this process has the state.
                ended = &mut self.controller => {
                    let orphaned = is_closed(&self.supervisor);
                    let cause = if orphaned { ExitCause::Orphaned } else { ExitCause::Stop };
                    return Ok((cause, Some(ended.map_err(io::Error::other)?)));
                }
                asked = stop_request(&signals, &readable) => {
                    asked?;
                    return Ok((ExitCause::Stop, None));
                }
                () = self.reload.cancelled() => return Ok((ExitCause::Reconfigured, None)),
                message = supervisor_message(&self.supervisor) => {
                    return Ok((message?.map_or(ExitCause::Orphaned, ExitCause::Asked), None));
                }
            }
        }
    }
}

/// Waits for a signal that asks to stop.
async fn stop_request(signals: &Signals, readable: &AsyncFd<OwnedFd>) -> io::Result<()> {
    loop {
        let mut guard = readable.readable().await?;
        if signals.take_requests()?.is_some() {
            return Ok(());
        }
        guard.clear_ready();
    }
}

/// Whether the supervisor has closed its end of the control socket.
fn is_closed(control: &AsyncFd<OwnedFd>) -> bool {
    let mut watched = [PollFd::new(control.as_fd(), PollFlags::empty())];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// The next message of the supervisor; `None` when it closes its end of the control socket.
async fn supervisor_message(control: &AsyncFd<OwnedFd>) -> io::Result<Option<Message>> {
    loop {
        let mut guard = control.readable().await?;
        if guard.ready().is_read_closed() {
            return Ok(None);
        }
        match handoff::receive(control.get_ref().as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
            received => return received,
        }
    }
}
