//! How long a credential lives, reckoned by the clock of the service that made it.

use jiff::{SignedDuration, Timestamp};

/// The life of an exchanged credential, by the clock of this machine (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends; `None` when nobody could tell.
    pub expires_at: Option<Timestamp>,
}

/// What a service said of the life of a credential, by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportedLifetime {
    /// The end it gave for the credential.
    pub expires_at: Option<Timestamp>,
    /// The `Date` of its response, which is cut to whole seconds.
    pub date: Option<Timestamp>,
    /// The end of the credential that the exchange was signed with: the new one dies with it.
    pub source_end: Option<Timestamp>,
}

/// A clock this close to the service's counts as right: it is a whole second of `Date`, and a slow
/// answer, away.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// `Date` cannot tell a life below this from none.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

/// The longest margin that is kept before the end.
const MAX_MARGIN: SignedDuration = SignedDuration::from_secs(60);

impl Lifetime {
    /// Moves what the service said to the local clock, on which the answer came at `received_at`.
    ///
    /// Only the distance between its `Date` and the ends it gave counts, so a wrong local clock does
    /// no harm. An end that its own `Date` calls past tells nothing.
    pub fn from_report(report: ReportedLifetime, received_at: Timestamp) -> Self {
        let service_now = service_now(report.date, received_at);
        let left = [report.expires_at, report.source_end]
            .into_iter()
            .flatten()
            .map(|end| end.duration_since(service_now))
            .filter(|left| *left >= SHORTEST)
            .min();
        Self { issued_at: received_at, expires_at: left.map(|left| later(received_at, left)) }
    }

    /// The instant up to which it may be handed out: a margin before its end, the shorter of 60 s and
    /// a tenth of its life. `None` when its end is unknown.
    pub fn serves_until(&self) -> Option<Timestamp> {
        let margin = MAX_MARGIN.min(self.length()? / 10);
        self.expires_at.map(|end| later(end, -margin))
    }

    /// Whether it may be handed out at `now`.
    pub fn serves(&self, now: Timestamp) -> bool {
        self.serves_until().is_none_or(|end| now < end)
    }

    /// Its whole length, from issue to end; never negative.
    pub fn length(&self) -> Option<SignedDuration> {
        self.expires_at.map(|end| end.duration_since(self.issued_at).max(SignedDuration::ZERO))
    }

    /// The same life after the local clock was set back by `by`: without this, a dead token would
    /// look alive for that long.
    #[must_use]
    pub fn set_back(self, by: SignedDuration) -> Self {
        Self {
            issued_at: later(self.issued_at, -by),
            expires_at: self.expires_at.map(|end| later(end, -by)),
        }
    }
}

/// What the clock of the service showed at `received_at`. Where the two clocks differ, the latest
/// instant its `Date` allows, so that no life comes out too long.
fn service_now(date: Option<Timestamp>, received_at: Timestamp) -> Timestamp {
    match date {
        Some(date) if received_at.duration_since(date).abs() > CLOCK_TOLERANCE => {
            later(date, SignedDuration::from_secs(1))
        }
        _ => received_at,
    }
}

/// `instant + by`, held within the range of instants.
pub(crate) fn later(instant: Timestamp, by: SignedDuration) -> Timestamp {
    let bound = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    instant.checked_add(by).unwrap_or(bound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const NOW: i64 = 1_800_000_000;
    const HOURS_12: i64 = 12 * 3600;

    #[test]
    fn a_local_clock_that_is_a_day_wrong_changes_nothing() {
        for wrong in [-86_400, 0, 86_400] {
            let report = ReportedLifetime {
                expires_at: Some(at(NOW + HOURS_12)),
                date: Some(at(NOW)),
                source_end: None,
            };
            let life = Lifetime::from_report(report, at(NOW + wrong));
            let left = life.expires_at.unwrap().duration_since(at(NOW + wrong)).as_secs();
            assert!((HOURS_12 - 1..=HOURS_12).contains(&left), "{wrong}: {left}");
        }
    }

    #[test]
    fn an_end_that_is_past_by_the_services_own_date_is_unknown() {
        // What moto answers: an end in 2015, whatever the day.
        let report = ReportedLifetime {
            expires_at: Some(at(1_420_000_000)),
            date: Some(at(NOW)),
            source_end: None,
        };
        let life = Lifetime::from_report(report, at(NOW));
        assert_eq!(life.expires_at, None);
        assert_eq!(life.serves_until(), None);
        assert!(life.serves(at(NOW + 10 * HOURS_12)));
    }

    #[test]
    fn a_local_clock_in_2010_does_not_make_an_end_in_2015_a_future_one() {
        let report = ReportedLifetime {
            expires_at: Some(at(1_420_000_000)),
            date: Some(at(NOW)),
            source_end: None,
        };
        assert_eq!(Lifetime::from_report(report, at(1_262_304_000)).expires_at, None);
    }

    #[test]
    fn a_token_ends_with_the_session_that_made_it() {
        let report = ReportedLifetime {
            expires_at: Some(at(NOW + HOURS_12)),
            date: Some(at(NOW)),
            source_end: Some(at(NOW + 900)),
        };
        assert_eq!(Lifetime::from_report(report, at(NOW)).expires_at, Some(at(NOW + 900)));
    }

    #[test]
    fn a_clock_set_back_takes_the_end_with_it() {
        let life = Lifetime { issued_at: at(NOW), expires_at: Some(at(NOW + HOURS_12)) };
        let moved = life.set_back(SignedDuration::from_hours(24));
        assert!(moved.serves(at(NOW - 86_400 + HOURS_12 - 61)));
        assert!(!moved.serves(at(NOW - 86_400 + HOURS_12 - 60)));
    }

    proptest! {
        #[test]
        fn a_life_serves_to_the_margin_and_never_to_its_end(
            left in 1i64..10_000_000_000, skew in -10_000_000_000i64..10_000_000_000,
        ) {
            let report = ReportedLifetime { expires_at: Some(at(NOW + left)), date: Some(at(NOW)), source_end: None };
            let life = Lifetime::from_report(report, at(NOW + skew));
            if let Some(length) = life.length() {
                // The service's clock runs beside ours, so the real end is `left` from now at most.
                prop_assert!(length <= SignedDuration::from_secs(left + 2));
                let until = life.serves_until().unwrap();
                let margin = life.expires_at.unwrap().duration_since(until);
                prop_assert!(margin.is_positive());
                prop_assert!(margin <= SignedDuration::from_secs(60));
                prop_assert!(until >= life.issued_at);
                prop_assert!(life.serves(life.issued_at));
                prop_assert!(!life.serves(until));
            } else {
                prop_assert!(left < 4);
            }
        }

        #[test]
        fn an_end_at_either_edge_of_time_does_not_panic(received in any::<i32>()) {
            for end in [Timestamp::MIN, Timestamp::MAX] {
                let report = ReportedLifetime { expires_at: Some(end), date: Some(at(NOW)), source_end: Some(end) };
                let life = Lifetime::from_report(report, at(received.into()));
                let _ = (life.serves_until(), life.set_back(SignedDuration::MAX));
            }
        }
    }
}
