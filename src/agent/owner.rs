//! The one owner of the logins. Everything that changes them passes through its loop: commands of
//! the API, changed files, results of work, instants that have come.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::events::Events;
use super::gather::Gatherer;
use super::keeper::Keeper;
use super::ledger::Ledger;
use super::publisher::Publisher;
use super::view::View;
use super::work::{Done, Worker};
use crate::domain::server::Server;
use crate::domain::source::Variables;
use crate::edge::clock::Clock;
use crate::edge::config::Mode;
use crate::edge::stored::StoredLogin;
use crate::wire::api::EnvironmentAnswer;

/// What the API asks of the owner.
pub enum Command {
    /// `PUT /v1/environment`; answers once it is published.
    Push(Variables, oneshot::Sender<EnvironmentAnswer>),
    /// `POST /v1/refresh` of one server or of all; answers once the work is under way.
    Refresh(Option<String>, oneshot::Sender<()>),
    /// `POST /v1/logins`; answers once it is kept.
    Store(String, StoredLogin, oneshot::Sender<io::Result<()>>),
    /// `DELETE /v1/logins`; answers whether there was one.
    Erase(String, oneshot::Sender<io::Result<bool>>),
    /// Something is overdue, and somebody waits for it.
    Nudge,
}

/// How the owner came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Stopped,
    /// The environment of the process has to be another one.
    Restart,
}

/// The owner, with everything it needs.
pub struct Owner {
    /// The clock.
    pub clock: Clock,
    /// Where variables come from.
    pub gatherer: Gatherer,
    /// The logins.
    pub ledger: Ledger,
    /// Who asks AWS and the registries.
    pub worker: Worker,
    /// Who writes the docker configuration.
    pub publisher: Publisher,
    /// Who carries what must survive to the supervisor.
    pub keeper: Keeper,
    /// What happened.
    pub events: Events,
    /// Where the view is published.
    pub view: watch::Sender<Arc<View>>,
}

impl Owner {
    /// Reads and publishes everything, reports that, and works until it is to end.
    pub async fn run(
        mut self,
        commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) -> (End, Keeper) {
        let end = self.work(commands, stop).await;
        (end, self.keeper)
    }

    async fn work(
        &mut self,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) -> End {
        if self.take_stock() {
            return End::Restart;
        }
        self.keeper.ready();
        loop {
            self.start_due_work();
            self.show();
            let due = self.next_due();
            let restart = tokio::select! {
                biased;
                () = stop.cancelled() => return End::Stopped,
                Some(done) = self.worker.next() => { self.take_results(done); false }
                Some(command) = commands.recv() => self.obey(command),
                () = self.gatherer.changed() => self.take_stock(),
                () = self.publisher.disturbed() => { self.publisher.repair(self.clock.now(), &self.events); false }
                () = wait_until(&self.clock, due) => self.wake(),
            };
            if restart {
                return End::Restart;
            }
        }
    }

    /// Reads every source anew and makes the logins what they say. Whether the process needs another
    /// environment for that.
    fn take_stock(&mut self) -> bool {
        let now = self.clock.now();
        let gathered = self.gatherer.gather(now);
        self.ledger.reconcile(gathered, now, &self.events);
        // Whoever asks from here on is told of the new declarations; those they replace are gone.
        self.show();
        let restart = self.gatherer.environment_differs();
        if !restart {
            // Else the next agent does both, as its environment says.
            self.start_due_work();
            self.publish();
        }
        self.keeper.keep(&self.gatherer, &self.ledger);
        self.show();
        restart
    }

    fn obey(&mut self, command: Command) -> bool {
        let now = self.clock.now();
        match command {
            Command::Push(variables, answer) => {
                let before = self.ledger.declared();
                self.gatherer.push(variables, now);
                let restart = self.take_stock();
                let difference = self.ledger.difference_to(&before);
                self.events.note(now, "pushed", "sync", difference.summary());
                // Nobody may be waiting any more.
                let _ = answer.send(EnvironmentAnswer {
                    added: difference.added,
                    changed: difference.changed,
                    removed: difference.removed,
                });
                return restart;
            }
            Command::Refresh(server, answer) => {
                self.ledger.make_due(server.as_deref(), now);
                self.start_due_work();
                self.show();
                let _ = answer.send(());
            }
            Command::Store(server, login, answer) => {
                let kept = self.gatherer.store(&server, login);
                let restart = self.take_stock();
                if kept.is_ok() {
                    let detail = "a login of the user's own".to_owned();
                    self.events.note(now, "stored", &server, detail);
                }
                let _ = answer.send(kept);
                return restart;
            }
            Command::Erase(server, answer) => {
                let erased = self.gatherer.erase(&server);
                let restart = self.take_stock();
                let _ = answer.send(erased);
                return restart;
            }
            Command::Nudge => return self.wake(),
        }
        false
    }

    /// Takes one result, and those that are there already, so that many are shown and kept at once.
    fn take_results(&mut self, first: Done) {
        let now = self.clock.now();
        let mut next = Some(first);
        while let Some(done) = next {
            match done {
                Done::Exchanged(key, result) => {
                    self.ledger.exchanged(&key, result, now, &self.events);
                }
                Done::Verified(server, generation, verdict) => {
                    self.ledger.verified(&server, generation, verdict, now, &self.events);
                }
            }
            next = self.worker.try_next();
        }
        if self.publisher.mode() == Mode::Auths {
            self.publish();
        }
        self.keeper.keep(&self.gatherer, &self.ledger);
    }

    /// An instant has come, or the clock was set. Whether the process needs another environment.
    fn wake(&mut self) -> bool {
        if let Some(by) = self.clock.take_set_back() {
            self.ledger.set_back(by);
        }
        let now = self.clock.now();
        self.ledger.note_ends(now, &self.events);
        self.publisher.wake(now, &self.events);
        if self.publisher.mode() == Mode::Auths {
            // A dead token must not stay where clients read it.
            self.publish();
        }
        // A stored login that told its end has met it, so the declared one serves again.
        self.gatherer.drop_ended(now) && self.take_stock()
    }

    fn start_due_work(&mut self) {
        let now = self.clock.now();
        for key in self.ledger.due_exchanges(now) {
            self.worker.exchange(key);
        }
        for question in self.ledger.due_verifications(now) {
            self.worker.verify(question);
        }
    }

    fn publish(&mut self) {
        let now = self.clock.now();
        let wanted = self.ledger.wanted(self.publisher.mode(), now);
        let servers: Vec<Server> =
            self.ledger.logins().map(|login| login.declaration.server.clone()).collect();
        self.publisher.publish(wanted, &servers, now, &self.events);
    }

    fn next_due(&self) -> Option<Timestamp> {
        [self.ledger.next_due(self.clock.now()), self.gatherer.next_end(), self.publisher.due()]
            .into_iter()
            .flatten()
            .min()
    }

    fn show(&self) {
        let mut problems = self.gatherer.problems();
        problems.extend(self.ledger.problems(self.clock.now()));
        problems.extend(self.publisher.problems());
        let mut view = View::empty(self.view.borrow().started_at);
        view.complete = true;
        view.sources = self.gatherer.sources(&self.ledger);
        view.entries = self.ledger.entries();
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
