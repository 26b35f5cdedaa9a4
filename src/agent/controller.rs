//! Owns the logins: every change to them goes through its loop. Inputs are API commands, changed
//! files, results of requests, and due times.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::command::AgentCommand;
use super::config_watch::ConfigWatch;
use super::counters::{Counters, EXCHANGES, VERIFICATIONS};
use super::events::Events;
use super::login_store::LoginStore;
use super::publisher::Publisher;
use super::service_status;
use super::source_set::SourceSet;
use super::state_handoff::StateHandoff;
use super::stored_login_writer::{ChangeAnswer, StoredLoginWriter, StoredReport};
use super::unanswered_push::{PushAnswer, UnansweredPush};
use super::view::View;
use super::workers::{WorkResult, WorkerPool};
use crate::adapters::clock::Clock;
use crate::adapters::config::Mode;
use crate::adapters::stored_logins::StoredChange;
use crate::domain::credentials::secret::Secret;
use crate::domain::servers::registry_server::RegistryServer;
use crate::domain::servers::server::{self, Server};
use crate::wire::api::EnvironmentDifference;

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
    /// Whether the supervisor wants to know how the logins are.
    pub reports_status: bool,
    /// Watches the configuration files.
    pub config_watch: ConfigWatch,
    /// Cancelled when the agent has to read the configuration anew.
    pub reload: CancellationToken,
    /// The event log.
    pub events: Events,
    /// What is counted for `/metrics`.
    pub counters: Counters,
    /// The channel on which views are published.
    pub view: watch::Sender<Arc<View>>,
    /// Pushed environments to be answered once they are published.
    pub unanswered_pushes: Vec<UnansweredPush>,
    /// Changed stored logins to be answered once they take effect.
    pub unanswered_changes: Vec<UnansweredChange>,
}

/// A change of the stored logins: the server that `docker login` put, if it did.
pub struct UnansweredChange {
    put: Option<String>,
    changed: bool,
    answer: ChangeAnswer,
}

impl Controller {
    /// Reads and publishes everything, reports readiness, and runs until told to stop. Hands the last
    /// state over.
    pub async fn run(
        mut self,
        commands: mpsc::Receiver<AgentCommand>,
        stop: CancellationToken,
    ) -> Self {
        self.work(commands, stop).await;
        self.hand_over();
        self
    }

    /// The last state at once, for when no other process has it.
    pub fn into_latest(self) -> OwnedFd {
        self.handoff_to_supervisor.into_latest()
    }

    /// Waits for writes in progress. Returns the last state.
    pub async fn close(mut self) -> OwnedFd {
        tokio::join!(self.publisher.close(&self.events), self.stored_logins.close());
        // Without the events of these last moments the next agent would still have everything.
        let _ = self.handoff_to_supervisor.add(BTreeMap::new(), &self.events);
        self.handoff_to_supervisor.into_latest()
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
                () = self.config_watch.changed() => {
                    if self.config_watch.is_outdated() {
                        self.reload.cancel();
                    }
                }
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
        if let Some(change) = self.workers.use_environment(environment) {
            self.logins.network_changed(&change, now);
        }
        self.logins.reconcile(declarations, environment, now, &self.events);
        // Publish first: from here on clients see the new declarations, not those they replace.
        self.publish_sources();
        self.publish_view();
        self.start_due_work();
        self.publish();
        self.publish_view();
        self.hand_over();
        for push in std::mem::take(&mut self.unanswered_pushes) {
            let PushAnswer { summary, answer, requester } =
                push.answer(&self.logins, &self.sources);
            let detail = format!("`sync` sent an environment: {summary}");
            self.events.record(now, "pushed", "sync", detail);
            self.answer_once_published(requester, answer);
        }
        for UnansweredChange { put, changed, answer } in
            std::mem::take(&mut self.unanswered_changes)
        {
            let put = put.filter(|server| server::web_login_token(server).is_none());
            if let Some(server) = put {
                let detail = format!("`docker login` stored a login for {server}");
                self.events.record(now, "stored", &server, detail);
            }
            // The requester may have gone away.
            let _ = answer.send(Ok(changed));
        }
    }

    fn handle_command(&mut self, command: AgentCommand) {
        let now = self.clock.now();
        match command {
            AgentCommand::Push(variables, answer) => {
                let before = UnansweredPush::before(&self.logins, &self.sources, answer);
                let incomplete = self.sources.push(variables, now);
                self.unanswered_pushes.push(before.with_incomplete(incomplete));
                self.logins.retry_unreachable(now);
                self.reconcile();
            }
            AgentCommand::Compare(variables, answer) => {
                let variables = self.sources.difference(variables);
                // The requester may have gone away.
                let _ = answer.send(EnvironmentDifference { variables });
            }
            AgentCommand::ImageAccess(question, answer) => {
                self.workers.image_access(*question, answer);
            }
            AgentCommand::Refresh(request, answer) => {
                self.logins.make_due(&request, now);
                self.start_due_work();
                // Somebody may just have repaired the docker configuration.
                self.publish();
                self.publish_view();
                self.answer_once_published(answer, ());
            }
            AgentCommand::Store(server, mut login, answer) => {
                login.codespace = self.sources.codespace_name();
                self.stored_logins.change(StoredChange::Put(server, login), Some(answer));
            }
            AgentCommand::Erase(server, answer) => {
                self.stored_logins.change(StoredChange::Remove(server), Some(answer));
            }
            AgentCommand::RunOnDemand(server) => {
                self.logins.retry_on_demand(&server, now);
                self.run_due();
            }
        }
    }

    /// Applies the current content of the stored-logins file. A change whose requester was told
    /// that it failed is reverted.
    fn apply_stored(&mut self, StoredReport { outcome, answer }: StoredReport) {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                let _ = answer.map(|answer| answer.send(Err(error)));
                return;
            }
        };
        let changed = outcome.undo.is_some();
        match outcome.undo {
            Some(undo) if answer.as_ref().is_some_and(oneshot::Sender::is_closed) => {
                self.stored_logins.change(undo, None);
                return;
            }
            _ => {}
        }
        self.sources.set_stored(outcome.logins);
        self.unanswered_changes.extend(answer.map(|answer| UnansweredChange {
            put: outcome.put,
            changed,
            answer,
        }));
        self.reconcile();
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
                    let label = if result.is_ok() { "success" } else { "failure" };
                    self.counters.count(&EXCHANGES, label);
                    self.logins.exchanged(&key, result, now, &self.events);
                }
                WorkResult::Verified(verified) => {
                    let outcome = verified.verdict.outcome.as_str();
                    self.counters.count(&VERIFICATIONS, outcome);
                    self.logins.verified(verified, now, &self.events);
                }
            }
            next = self.workers.try_next();
        }
        if new_token {
            self.hand_over();
        }
    }

    /// Runs after a due time or a change of the clock.
    fn run_due(&mut self) {
        if let Some(by) = self.clock.take_set_back() {
            self.logins.set_back(by);
            self.hand_over();
        }
        let now = self.clock.now();
        self.handoff_to_supervisor.retry();
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
        for verification in self.logins.due_verifications(now) {
            self.workers.verify(verification);
        }
    }

    fn publish(&mut self) {
        let now = self.clock.now();
        let mut wanted = self.logins.wanted(self.publisher.mode(), now);
        if self.publisher.mode() == Mode::Helper {
            wanted.helpers.extend(self.sources.lost_keys().cloned());
        }
        let servers = self.logins.logins().map(|login| &login.declaration.server);
        let servers: Vec<Server> = servers.filter_map(RegistryServer::container).cloned().collect();
        let docker_config = self.sources.merged_environment().get("DOCKER_CONFIG");
        let clients = self.logins.wanted_client_files(now);
        let pushed = self.sources.logins_to_note();
        let docker_config = docker_config.map(Secret::reveal);
        self.publisher.publish(docker_config, wanted, servers, clients, pushed);
    }

    /// Answers only after publication: the requester may use the result as soon as it has the
    /// answer.
    fn answer_once_published<T: 'static>(&self, requester: oneshot::Sender<T>, answer: T) {
        let published = self.publisher.published();
        tokio::task::spawn_local(async move {
            published.await;
            // The requester may have gone away.
            let _ = requester.send(answer);
        });
    }

    fn next_due(&self) -> Option<Timestamp> {
        let dues =
            [self.logins.next_due(), self.sources.next_end(), self.handoff_to_supervisor.due()];
        dues.into_iter().flatten().min()
    }

    fn publish_sources(&self) {
        let sources = self.sources.sources(&self.logins);
        let problems = self.sources.problems();
        let tokens = self.sources.web_login_tokens(self.clock.now());
        self.view.send_modify(|view| {
            let view = Arc::make_mut(view);
            view.complete = true;
            view.sources = sources;
            view.web_login_tokens = tokens;
            view.source_problems = problems;
        });
    }

    /// Publishes what changed, and passes it on to the next agent.
    fn publish_view(&mut self) {
        let now = self.clock.now();
        self.publisher.record_events(&self.events);
        let mut problems = self.publisher.problems();
        problems.extend(self.config_watch.problem().cloned());
        problems.extend(self.stored_logins.problem());
        let mut changed = BTreeMap::new();
        self.view.send_modify(|view| {
            let view = Arc::make_mut(view);
            changed = self.logins.publish(&mut view.entries, now, &self.events);
            view.seq = self.events.last_seq();
            view.other_problems = problems;
            if view.docker_config != self.publisher.file() {
                view.docker_config = self.publisher.file();
            }
        });
        let serves_other_logins = self.logins.take_served_changed();
        let clients_need_others =
            !changed.is_empty() && self.publisher.lacks(&self.logins.wanted_client_files(now));
        if (serves_other_logins && self.publisher.mode() == Mode::Auths) || clients_need_others {
            self.publish();
        }
        if self.handoff_to_supervisor.add(changed, &self.events) {
            self.hand_over();
        }
        if self.reports_status {
            self.handoff_to_supervisor.status(service_status::line(&self.view.borrow(), now));
        }
    }

    fn hand_over(&mut self) {
        self.handoff_to_supervisor.hand_over(&self.sources, &self.logins, &self.events);
    }
}

async fn wait_until(clock: &Clock, due: Option<Timestamp>) {
    match due {
        Some(due) => clock.sleep_until(due).await,
        None => std::future::pending().await,
    }
}
