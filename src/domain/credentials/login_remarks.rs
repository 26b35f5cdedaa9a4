//! What there is to say about a login beside its state: remarks, and a token that ends soon.

use jiff::{SignedDuration, Timestamp};

use super::login::{LastVerdict, Login, State};
use super::precheck;
use crate::domain::reasons::problem::Problem;
use crate::domain::reasons::{self, LoginReason, Reason};

/// How long `BuildKit` keeps what the credential helper returned (`moby/buildkit`,
/// `session/auth/authprovider`: 5 min less 10 s).
const BUILD_KEEPS: SignedDuration = SignedDuration::from_secs(290);

impl Login {
    /// What is known at `now` without asking anybody, apart from the reason itself.
    pub fn remarks(&self, now: Timestamp) -> Vec<Reason> {
        let mut found = self.value_remarks(now);
        if self.state(now) == State::Unverified {
            found.extend(self.verdict_remark.clone().map(Reason::from));
        }
        found.extend(self.short_life(now));
        found
    }

    /// A credential that may expire while a build that keeps it is running.
    fn short_life(&self, now: Timestamp) -> Option<Reason> {
        self.declaration.server.container()?;
        let end = self.served(now)?.expires_at?;
        let short = end > now && end.duration_since(now) < BUILD_KEEPS;
        let server = self.declaration.server.shown().to_owned();
        short.then(|| LoginReason::ShorterThanBuild { server, at: end.to_string() }.into())
    }

    /// What the values show by themselves at `now`, and the registry has neither confirmed nor
    /// given as its reason.
    fn value_remarks(&self, now: Timestamp) -> Vec<Reason> {
        if self.judged_state(now) == State::Ready {
            return Vec::new();
        }
        let mut found = precheck::findings(&self.declaration);
        if !self.accepted_past_end() && self.stated_end().is_some_and(|end| end <= now) {
            found.insert(0, self.expiry_reason());
        }
        let given = self.reason_at(now).map(|reason| reason.code());
        found.retain(|reason| Some(reason.code()) != given);
        found
    }

    /// A remark on a credential that works.
    pub(super) fn remark(&self) -> Option<Reason> {
        if self.exchange_remark.is_some() {
            return self.exchange_remark.clone();
        }
        let credential = self.credential.as_ref()?;
        precheck::remark_on(&self.declaration.server, credential).map(Reason::from)
    }

    /// A declared token that cannot be renewed becomes a problem an hour before it expires.
    pub fn problem(&self, now: Timestamp) -> Option<Problem> {
        let expires_at = self.stated_end()?;
        let asking = self.last_verdict == LastVerdict::Pending;
        // Once it has expired, that is the reason of the login itself.
        if self.warns_at()? > now || asking || expires_at <= now {
            return None;
        }
        let server = self.declaration.server.name().to_owned();
        let reason = LoginReason::TokenEnds { server, at: reasons::instant(expires_at) }.into();
        Some(Problem {
            family: Some(self.declaration.family()),
            name: self.declaration.name.clone(),
            source: Some(self.declaration.source.clone()),
            server: Some(self.declaration.server.name().to_owned()),
            reason,
        })
    }

    fn warns_at(&self) -> Option<Timestamp> {
        let end = self.stated_end()?;
        Some(end.checked_sub(SignedDuration::from_hours(1)).unwrap_or(end))
    }
}

#[cfg(test)]
mod tests {
    use super::super::login::tests::{END, at, pasted};
    use crate::domain::registry_protocol::verdict::Verdict;

    #[test]
    fn a_pasted_token_is_a_problem_from_an_hour_before_it_expires() {
        let mut login = pasted();
        login.verified(Verdict::ready(), at(END - 7200), 0.5);
        let code = |now| login.problem(at(now)).map(|problem| problem.reason.code());
        assert_eq!(code(END - 3601), None);
        assert_eq!(code(END - 3600), Some("token-ends-soon"));
        assert_eq!(code(END), None);
    }

    #[test]
    fn a_token_that_expires_within_a_build_is_a_remark() {
        let mut login = pasted();
        login.verified(Verdict::ready(), at(END - 7200), 0.5);
        let codes = |now| {
            let remarks = login.remarks(at(now)).into_iter();
            remarks.map(|reason| reason.code()).collect::<Vec<_>>()
        };
        assert_eq!(codes(END - 290), [""; 0]);
        assert_eq!(codes(END - 289), ["token-shorter-than-build"]);
        assert_eq!(codes(END), ["token-ended"; 0]);
    }
}
