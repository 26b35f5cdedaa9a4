//! Owns the logins: every change to them goes through its loop. Inputs are API commands, changed
//! files, results of requests, and due times.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::config_watch::ConfigWatch;
use super::events::Events;
use super::login_store::LoginStore;
use super::publisher::Publisher;
use super::source_set::SourceSet;
use super::state_handoff::StateHandoff;
use super::stored_login_writer::{Asked, StoredLoginWriter, StoredReport};
use super::view::{self, View};
use super::workers::{WorkResult, WorkerPool};
use crate::adapters::clock::Clock;
use crate::adapters::config::Mode;
use crate::adapters::stored_logins::{StoredChange, StoredLogin};
use crate::domain::credentials::secret::Secret;
use crate::domain::declarations::source::Variables;
use crate::domain::reasons::problem::Problem;
use crate::domain::servers::server::Server;
use crate::wire::api::EnvironmentAnswer;

/// A request from the API to the controller.
pub enum AgentCommand {
    /// `PUT /v1/environment`; answered once the result is published.
    Push(Variables, oneshot::Sender<EnvironmentAnswer>),
    /// `POST /v1/refresh` of one server or of all; answered once the requests are running.
    Refresh(Option<String>, oneshot::Sender<()>),
    /// `POST /v1/logins`; answered once the login is stored.
    Store(String, StoredLogin, Asked),
    /// `DELETE /v1/logins`; answered with whether a login existed.
    Erase(String, Asked),
    /// A client waits for the credential of this server, and the agent can act on it.
    RunOnDemand(String),
}

/// The controller and everything it needs.
pub struct Controller {
    /// The clock.
    pub clock: Clock,
    /// Where variables come from.
    pub sources: SourceSet,
    /// Reads and writes the logins stored by `docker login`.
    pub stored_logins: StoredLoginWriter,
    /// The logins.
    pub logins: LoginStore,
    /// Runs requests to AWS and the registries.
    pub workers: WorkerPool,
    /// Writes the docker configuration.
    pub publisher: Publisher,
    /// Sends the state that must survive to the supervisor.
    pub handoff_to_supervisor: StateHandoff,
    /// Watches the configuration files.
    pub config_watch: ConfigWatch,
    /// The event log.
    pub events: Events,
    /// The channel on which views are published.
    pub view: watch::Sender<Arc<View>>,
    /// Pushed environments to be answered once they are published.
    pub unanswered_pushes: Vec<UnansweredPush>,
}

/// A pushed environment: the declarations before it, and which of its sets are incomplete.
pub struct UnansweredPush {
    before: BTreeMap<String, u64>,
    incomplete: Vec<Problem>,
    answer: oneshot::Sender<EnvironmentAnswer>,
}

impl Controller {
    /// Reads and publishes everything, reports readiness, and runs until told to stop.
    pub async fn run(
        mut self,
        commands: mpsc::Receiver<AgentCommand>,
        stop: CancellationToken,
    ) -> StateHandoff {
        self.work(commands, stop).await;
        self.handoff_to_supervisor.hand_over(&self.sources, &self.logins);
        tokio::join!(self.publisher.close(&self.events), self.stored_logins.close());
        self.handoff_to_supervisor
    }

    async fn work(&mut self, mut commands: mpsc::Receiver<AgentCommand>, stop: CancellationToken) {
        let now = self.clock.now();
        let first =
            async { tokio::join!(self.stored_logins.first(), self.sources.first_answers(now)) };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            (stored, ()) = first => self.sources.set_stored(stored),
        }
        self.reconcile();
        let mut ready = false;
        let mut published = pin!(self.publisher.published());
        loop {
            self.start_due_work();
            self.publish_view();
            let due = self.next_due();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(done) = self.workers.next() => self.apply_results(done),
                Some(command) = commands.recv() => self.handle_command(command),
                () = self.sources.changed() => self.reconcile(),
                report = self.stored_logins.next() => self.apply_stored(report),
                () = &mut published, if !ready => {
                    ready = true;
                    self.handoff_to_supervisor.ready();
                }
                () = self.publisher.changed() => {}
                () = self.config_watch.changed() => {}
                () = wait_until(&self.clock, due) => self.run_due(),
            }
        }
    }

    /// Reads every source again and updates the logins to match.
    fn reconcile(&mut self) {
        let now = self.clock.now();
        let Some(declarations) = self.sources.wanted(now) else {
            // A password file was just added: its content arrives as the next change.
            return;
        };
        if let Some(prune) = self.sources.prune_stored(now) {
            self.stored_logins.change(prune, None);
        }
        let environment = self.sources.merged_environment();
        if self.workers.use_environment(environment) {
            self.logins.retry_failed(now);
        }
        self.logins.reconcile(declarations, environment, now, &self.events);
        // Publish first: from here on clients see the new declarations, not those they replace.
        self.publish_view();
        self.start_due_work();
        self.publish();
        self.handoff_to_supervisor.hand_over(&self.sources, &self.logins);
        self.publish_view();
        for push in std::mem::take(&mut self.unanswered_pushes) {
            let difference = self.logins.difference_to(&push.before);
            let detail = format!("`sync` sent an environment: {}", difference.summary());
            self.events.record(now, "pushed", "sync", detail);
            let difference = EnvironmentAnswer {
                added: difference.added,
                changed: difference.changed,
                removed: difference.removed,
                incomplete: push.incomplete.iter().map(view::problem_entry).collect(),
            };
            self.answer_once_published(push.answer, difference);
        }
    }

    fn handle_command(&mut self, command: AgentCommand) {
        let now = self.clock.now();
        match command {
            AgentCommand::Push(variables, answer) => {
                let before = self.logins.declared();
                let incomplete = self.sources.push(variables, now);
                self.unanswered_pushes.push(UnansweredPush { before, incomplete, answer });
                self.reconcile();
            }
            AgentCommand::Refresh(server, answer) => {
                self.logins.make_due(server.as_deref(), now);
                self.start_due_work();
                self.publish_view();
                let _ = answer.send(());
            }
            AgentCommand::Store(server, mut login, asked) => {
                login.codespace = self.sources.codespace_name();
                self.stored_logins.change(StoredChange::Put(server, login), Some(asked));
            }
            AgentCommand::Erase(server, asked) => {
                self.stored_logins.change(StoredChange::Remove(server), Some(asked));
            }
            AgentCommand::RunOnDemand(server) => {
                self.logins.retry_on_demand(&server, now);
                self.run_due();
            }
        }
    }

    /// Applies the current content of the stored-logins file. A change whose requester was told
    /// that it failed is reverted.
    fn apply_stored(&mut self, StoredReport { outcome, asked }: StoredReport) {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                let _ = asked.map(|asked| asked.send(Err(error)));
                return;
            }
        };
        let changed = outcome.undo.is_some();
        match outcome.undo {
            Some(undo) if asked.as_ref().is_some_and(oneshot::Sender::is_closed) => {
                self.stored_logins.change(undo, None);
                return;
            }
            _ => {}
        }
        self.sources.set_stored(outcome.logins);
        self.reconcile();
        if let (Some(server), Some(_)) = (outcome.put, &asked) {
            let detail = format!("`docker login` stored a login for {server}");
            self.events.record(self.clock.now(), "stored", &server, detail);
        }
        let _ = asked.map(|asked| asked.send(Ok(changed)));
    }

    /// Applies a result and all others already available, so that they are published and saved
    /// together.
    fn apply_results(&mut self, first: WorkResult) {
        let now = self.clock.now();
        let mut next = Some(first);
        let mut new_token = false;
        while let Some(done) = next {
            match done {
                WorkResult::Exchanged(key, result) => {
                    new_token |= result.is_ok();
                    self.logins.exchanged(&key, result, now, &self.events);
                }
                WorkResult::Verified(server, generation, verdict) => {
                    self.logins.verified(&server, generation, verdict, now, &self.events);
                }
            }
            next = self.workers.try_next();
        }
        if self.publisher.mode() == Mode::Auths {
            self.publish();
        }
        if new_token {
            self.handoff_to_supervisor.hand_over(&self.sources, &self.logins);
        } else {
            self.handoff_to_supervisor.hand_over_soon(now);
        }
    }

    /// Runs after a due time or a change of the clock.
    fn run_due(&mut self) {
        if let Some(by) = self.clock.take_set_back() {
            self.logins.set_back(by);
            self.handoff_to_supervisor.hand_over(&self.sources, &self.logins);
        }
        let now = self.clock.now();
        if self.handoff_to_supervisor.due().is_some_and(|due| due <= now) {
            self.handoff_to_supervisor.hand_over(&self.sources, &self.logins);
        }
        self.logins.note_ends(now, &self.events);
        if self.publisher.mode() == Mode::Auths {
            // An expired token must not stay where clients read it.
            self.publish();
        }
        // A stored login has reached its stated end, so the declared one takes over.
        if self.sources.next_end().is_some_and(|end| end <= now) {
            self.reconcile();
        }
    }

    fn start_due_work(&mut self) {
        let now = self.clock.now();
        for key in self.logins.due_exchanges(now) {
            self.workers.exchange(key);
        }
        for question in self.logins.due_verifications(now) {
            self.workers.verify(question);
        }
    }

    fn publish(&mut self) {
        let now = self.clock.now();
        let wanted = self.logins.wanted(self.publisher.mode(), now);
        let servers: Vec<Server> =
            self.logins.logins().map(|login| login.declaration.server.clone()).collect();
        let docker_config = self.sources.merged_environment().get("DOCKER_CONFIG");
        self.publisher.publish(docker_config.map(Secret::reveal), wanted, servers);
    }

    /// Answers only after publication: the requester may use the result as soon as it has the
    /// answer.
    fn answer_once_published<T: 'static>(&self, asked: oneshot::Sender<T>, answer: T) {
        let published = self.publisher.published();
        tokio::task::spawn_local(async move {
            published.await;
            // The requester may have gone away.
            let _ = asked.send(answer);
        });
    }

    fn next_due(&self) -> Option<Timestamp> {
        let logins = self.logins.next_due(self.clock.now());
        let dues = [logins, self.sources.next_end(), self.handoff_to_supervisor.due()];
        dues.into_iter().flatten().min()
    }

    fn publish_view(&mut self) {
        self.publisher.record_events(&self.events);
        let seq = self.events.last_seq();
        let mut problems = self.sources.problems();
        problems.extend(self.logins.problems(self.clock.now()));
        problems.extend(self.publisher.problems());
        problems.extend(self.config_watch.problem().cloned());
        problems.extend(self.stored_logins.problem());
        let mut view = View::empty(self.view.borrow().started_at);
        view.seq = seq;
        view.complete = true;
        view.sources = self.sources.sources(&self.logins);
        view.entries = self.logins.shown();
        view.problems = problems;
        self.view.send_replace(Arc::new(view));
    }
}

async fn wait_until(clock: &Clock, due: Option<Timestamp>) {
    match due {
        Some(due) => clock.sleep_until(due).await,
        None => std::future::pending().await,
    }
}
