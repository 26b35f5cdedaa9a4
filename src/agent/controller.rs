//! The one owner of the logins. Everything that changes them passes through its loop: commands of
//! the API, changed files, results of work, instants that have come.

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

/// What the API asks of the controller.
pub enum AgentCommand {
    /// `PUT /v1/environment`; answers once it is published.
    Push(Variables, oneshot::Sender<EnvironmentAnswer>),
    /// `POST /v1/refresh` of one server or of all; answers once the work is under way.
    Refresh(Option<String>, oneshot::Sender<()>),
    /// `POST /v1/logins`; answers once it is kept.
    Store(String, StoredLogin, Asked),
    /// `DELETE /v1/logins`; answers whether there was one.
    Erase(String, Asked),
    /// A client waits for the credential of this server, and the agent can act on it.
    RunOnDemand(String),
}

/// The controller, with everything it needs.
pub struct Controller {
    /// The clock.
    pub clock: Clock,
    /// Where variables come from.
    pub sources: SourceSet,
    /// Who reads and writes what `docker login` stored.
    pub stored_logins: StoredLoginWriter,
    /// The logins.
    pub logins: LoginStore,
    /// Who asks AWS and the registries.
    pub workers: WorkerPool,
    /// Who writes the docker configuration.
    pub publisher: Publisher,
    /// Who carries what must survive to the supervisor.
    pub handoff_to_supervisor: StateHandoff,
    /// The files of the configuration.
    pub config_watch: ConfigWatch,
    /// What happened.
    pub events: Events,
    /// Where the view is published.
    pub view: watch::Sender<Arc<View>>,
    /// Pushes that are answered once they are published.
    pub unanswered_pushes: Vec<UnansweredPush>,
}

/// A push, what was declared before it, and what is incomplete in it.
pub struct UnansweredPush {
    before: BTreeMap<String, u64>,
    incomplete: Vec<Problem>,
    answer: oneshot::Sender<EnvironmentAnswer>,
}

impl Controller {
    /// Reads and publishes everything, reports that, and works until it is to end.
    pub async fn run(
        mut self,
        commands: mpsc::Receiver<AgentCommand>,
        stop: CancellationToken,
    ) -> StateHandoff {
        self.work(commands, stop).await;
        self.handoff_to_supervisor.hand_over(&self.sources, &self.logins);
        tokio::join!(self.publisher.close(), self.stored_logins.close());
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

    /// Reads every source anew and makes the logins what they say.
    fn reconcile(&mut self) {
        let now = self.clock.now();
        let Some(declarations) = self.sources.wanted(now) else {
            // A file that holds a password was just named: its answer is the next change.
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
        // Whoever asks from here on is told of the new declarations; those they replace are gone.
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

    /// Takes up what the file of stored logins holds from now on. A change whose asker was told that
    /// it failed is taken back.
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

    /// Takes one result, and those that are there already, so that many are shown and kept at once.
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

    /// An instant has come, or the clock was set.
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
            // A dead token must not stay where clients read it.
            self.publish();
        }
        // A stored login that told its end has met it, so the declared one serves again.
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

    /// Whoever asked may use what was asked for once the answer is there.
    fn answer_once_published<T: 'static>(&self, asked: oneshot::Sender<T>, answer: T) {
        let published = self.publisher.published();
        tokio::task::spawn_local(async move {
            published.await;
            // Nobody may be waiting any more.
            let _ = asked.send(answer);
        });
    }

    fn next_due(&self) -> Option<Timestamp> {
        let logins = self.logins.next_due(self.clock.now());
        let dues = [logins, self.sources.next_end(), self.handoff_to_supervisor.due()];
        dues.into_iter().flatten().min()
    }

    fn publish_view(&mut self) {
        let mut problems = self.sources.problems();
        problems.extend(self.logins.problems(self.clock.now()));
        problems.extend(self.publisher.problems());
        problems.extend(self.config_watch.problem().cloned());
        problems.extend(self.stored_logins.problem());
        let mut view = View::empty(self.view.borrow().started_at);
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
