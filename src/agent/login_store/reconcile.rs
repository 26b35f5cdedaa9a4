//! Makes the logins match what is declared.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::LoginStore;
use crate::agent::events::Events;
use crate::agent::exchanges::{self, Exchange};
use crate::agent::login_entry::LoginEntry;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::declarations::declaration::{Declaration, Identity};
use crate::domain::declarations::source::Variables;

impl LoginStore {
    /// Updates the logins to match `declarations`. Unchanged logins are left alone.
    pub fn reconcile(
        &mut self,
        declarations: Vec<Declaration>,
        environment: &Variables,
        now: Timestamp,
        events: &Events,
    ) {
        let mut kept = BTreeMap::new();
        for declaration in declarations {
            let exchange = match &declaration.identity {
                Identity::Aws(identity) => {
                    ExchangeKey::of(&declaration.server, identity, environment)
                }
                Identity::Password { .. } | Identity::Token(_) => None,
            };
            let previous = self.entries.remove_entry(declaration.server.name());
            let (server, previous) = match previous {
                Some((server, entry)) => (server, Some(entry)),
                None => (Arc::from(declaration.server.name()), None),
            };
            let entry = match previous {
                Some(mut entry)
                    if entry.login.declaration.is_same_login(&declaration)
                        && entry.exchange == exchange =>
                {
                    if entry.login.declaration != declaration {
                        self.due_queue.mark_changed(&server);
                        entry.login.declaration = declaration;
                    }
                    entry
                }
                previous => {
                    let what = if previous.is_some() { "changed" } else { "added" };
                    let fingerprint = declaration.fingerprint();
                    let restored = self.restored_logins.get(&*server);
                    if restored.is_none_or(|restored| restored.fingerprint != fingerprint) {
                        let detail = format!("{server} was {what} by {}", declaration.source);
                        events.record(now, what, &server, detail);
                    }
                    let mut entry = self.begin(declaration, exchange, now);
                    if let Some(mut previous) = previous {
                        previous.remember_credential(now);
                        entry.replaced = previous.replaced;
                    }
                    self.due_queue.mark_changed(&server);
                    entry
                }
            };
            kept.insert(server, entry);
        }
        for server in self.entries.keys() {
            record_removal(server, now, events);
            self.due_queue.mark_changed(server);
        }
        // A login of the previous agent that no source has declared by now is not coming back.
        for server in std::mem::take(&mut self.restored_logins).keys() {
            record_removal(server, now, events);
        }
        self.entries = kept;
        let Self { entries, exchanges, .. } = self;
        exchanges.retain(|key, _| entries.values().any(|r| r.exchange.as_ref() == Some(key)));
        self.restored_tokens.clear();
    }

    fn begin(
        &mut self,
        declaration: Declaration,
        exchange: Option<ExchangeKey>,
        now: Timestamp,
    ) -> LoginEntry {
        let restored = self.restored_logins.remove(declaration.server.name());
        let token = exchange.as_ref().and_then(|key| {
            let saved = self.restored_tokens.remove(&exchanges::fingerprint(key));
            let exchange = self.exchanges.entry(key.clone()).or_insert_with(|| {
                saved.as_ref().map_or_else(|| Exchange::new(now), Exchange::resumed)
            });
            if exchange.failure.is_some() && !exchange.busy {
                // A new login is tried at once, whatever became of those that share its exchange.
                exchange.due = now;
            }
            exchange.token.clone()
        });
        self.last_generation += 1;
        let mut entry = LoginEntry::begin(declaration, token, restored, self.verify);
        entry.exchange = exchange;
        entry.generation = self.last_generation;
        entry
    }
}

fn record_removal(server: &str, now: Timestamp, events: &Events) {
    events.record(now, "removed", server, format!("{server} is no longer declared"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::credentials::credential::Credential;
    use crate::domain::declarations::declaration::AwsIdentity;
    use crate::domain::servers::server::Server;
    use crate::wire::handoff::{SavedState, SavedToken};

    const ECR: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn declaration() -> Declaration {
        Declaration {
            name: "WORK".to_owned(),
            server: Server::parse(ECR).unwrap().0.into(),
            auth_scheme: None,
            identity: Identity::Aws(AwsIdentity { keys: None, role_arn: None, profile: None }),
            ca_file: None,
            password_file: None,
            source: "sync".to_owned(),
            variables: Vec::new(),
            stored: None,
        }
    }

    /// What an agent records that starts at `now` with this state and these declarations, and the
    /// state that it leaves.
    fn successor(
        mut state: SavedState,
        declarations: Vec<Declaration>,
        now: Timestamp,
    ) -> (Vec<String>, SavedState) {
        let events = Events::default();
        let mut store = LoginStore::new(&mut state, true);
        store.reconcile(declarations, &Variables::new(), now, &events);
        store.publish(&mut BTreeMap::new(), now, &events);
        let mut left = SavedState::default();
        store.save_into(&mut left);
        (events.since(0).into_iter().map(|event| event.event).collect(), left)
    }

    /// The state after a token was issued at second 0 that lasts until second 1000.
    fn with_token() -> SavedState {
        let (_, mut state) = successor(SavedState::default(), vec![declaration()], at(0));
        let Identity::Aws(identity) = declaration().identity else { unreachable!() };
        let key = ExchangeKey::of(&declaration().server, &identity, &Variables::new());
        let credential = Credential {
            user: "AWS".to_owned(),
            secret: "token".into(),
            issued_at: Some(at(0)),
            expires_at: Some(at(1000)),
        };
        let token = SavedToken::of(&credential, at(500));
        state.tokens.insert(exchanges::fingerprint(&key.unwrap()), token);
        state
    }

    #[test]
    fn a_login_that_was_undeclared_while_no_agent_ran_was_removed() {
        let (events, left) = successor(with_token(), Vec::new(), at(10));
        assert_eq!(events, ["removed"]);
        assert_eq!(successor(left, Vec::new(), at(20)).0, [""; 0]);
    }

    #[test]
    fn a_token_that_expired_while_no_agent_ran_is_recorded_once() {
        let (events, left) = successor(with_token(), vec![declaration()], at(10));
        assert_eq!(events, [""; 0]);
        let (events, left) = successor(left, vec![declaration()], at(2000));
        assert_eq!(events, ["expired"]);
        assert_eq!(successor(left, vec![declaration()], at(2010)).0, [""; 0]);
    }
}
