//! Applies the results of exchanges and verifications to the logins.

use std::sync::Arc;

use jiff::Timestamp;

use super::LoginStore;
use crate::adapters::aws::{ExchangeFailure, Token};
use crate::agent::events::Events;
use crate::agent::login_entry::VerificationState;
use crate::agent::workers::Verified;
use crate::domain::credentials::exchange::ExchangeKey;
use crate::domain::registry_protocol::verdict::Outcome;

impl LoginStore {
    /// Records the result of an exchange.
    pub fn exchanged(
        &mut self,
        key: &ExchangeKey,
        result: Result<Token, ExchangeFailure>,
        now: Timestamp,
        events: &Events,
    ) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if result.is_err() && exchange.starts_again(now) {
            return;
        }
        match result {
            Ok(token) => exchange.succeeded(token, now),
            Err(failure) => exchange.failed(failure, now),
        }
        for (server, entry) in &mut self.entries {
            if entry.exchange.as_ref() != Some(key) {
                continue;
            }
            self.due_queue.mark_changed(server);
            if let Some((outcome, reason)) = &exchange.failure {
                let detail = format!("no token for {server}: {reason}");
                events.record(now, "exchange-failed", server, detail);
                entry.login.exchange_failed(*outcome, reason.clone(), now);
            } else if let Some((credential, remark)) = &exchange.token {
                let detail = format!("AWS issued a new token for {server}");
                events.record(now, "exchanged", server, detail);
                self.last_generation += 1;
                entry.generation = self.last_generation;
                entry.remember_credential(now);
                entry.verification = VerificationState::needed(self.verify);
                entry.login.exchanged(credential.clone(), remark.clone());
                if !self.verify {
                    entry.login.not_asked();
                }
            }
        }
    }

    /// Records a registry's verdict on one generation of a login.
    pub fn verified(&mut self, verified: Verified, now: Timestamp, events: &Events) {
        let Verified { server, generation, verdict, proxy } = verified;
        let server: &Arc<str> = &Arc::from(server);
        let Some(entry) = self.entries.get_mut(server) else { return };
        if entry.generation != generation {
            return;
        }
        entry.verification = VerificationState::Idle;
        self.due_queue.mark_changed(server);
        let before = entry.login.judged_state(now);
        let refused = verdict.outcome == Outcome::Rejected;
        entry.login.proxy = proxy;
        entry.login.verified(verdict, now, fastrand::f64());
        let after = entry.login.state(now);
        if after != before {
            let why = entry.login.reason.as_ref().map_or_else(String::new, |r| format!(": {r}"));
            let (is, was) = (after.as_str(), before.as_str());
            events.record(now, is, server, format!("{server} is {is} (was {was}){why}"));
        }
        if refused
            && let Some(key) = &entry.exchange
            && let Some(exchange) = self.exchanges.get_mut(key)
        {
            exchange.rejected_by_registry(entry.login.failures, now);
            let key = key.clone();
            self.exchange_changed(&key);
        }
    }
}
