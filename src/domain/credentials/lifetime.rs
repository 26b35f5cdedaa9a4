//! How long a credential lives, by the clock of the service that made it.

use jiff::{SignedDuration, Timestamp};

/// The life of an exchanged credential, by the clock of this machine (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// When it was asked for: it is no older than this.
    pub issued_at: Timestamp,
    /// When it ends; `None` when nobody could tell.
    pub expires_at: Option<Timestamp>,
}

/// What a service said of the life of a credential, by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportedLifetime {
    /// The end it gave for the credential.
    pub expires_at: Option<Timestamp>,
    /// The end that the credential states itself.
    pub stated_end: Option<Timestamp>,
    /// The end of the credential that the exchange was signed with: the new one dies with it.
    pub source_end: Option<Timestamp>,
}

/// One request and its response, on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrip {
    /// When the request was sent, by the local clock.
    pub sent_at: Timestamp,
    /// When the response arrived, by the local clock.
    pub received_at: Timestamp,
    /// The `Date` of the response, by the service's clock; it is cut to whole seconds.
    pub date: Option<Timestamp>,
}

impl RoundTrip {
    /// How far the local clock is ahead of the service's (negative: behind). Zero where the service did
    /// not say, or its `Date` lies between request and response: then the response only took long, or
    /// this process was suspended.
    pub fn clock_skew(&self) -> SignedDuration {
        let Some(date) = self.date else { return SignedDuration::ZERO };
        let ahead = self.sent_at.duration_since(date);
        let behind = self.received_at.duration_since(date);
        if ahead > CLOCK_TOLERANCE {
            ahead
        } else if behind < -CLOCK_TOLERANCE {
            behind
        } else {
            SignedDuration::ZERO
        }
    }

    /// What the service's clock showed at `sent_at`. Where the two clocks differ, the latest instant
    /// that its `Date` allows, so that no life comes out too long.
    fn service_time_at_send(&self) -> Timestamp {
        match self.date {
            Some(date) if !self.clock_skew().is_zero() => later(date, SignedDuration::from_secs(1)),
            _ => self.sent_at,
        }
    }
}

/// A clock this close to the service's counts as right: `Date` is cut to a whole second, and clocks
/// that are kept right differ by less than another.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// `Date` cannot tell a life below this from none.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

/// The longest margin that is kept before the end.
const MAX_MARGIN: SignedDuration = SignedDuration::from_secs(60);

impl Lifetime {
    /// Moves what the service said to the local clock.
    ///
    /// Only the distance between its `Date` and the ends it gave counts, so a wrong local clock does
    /// no harm. The life counts from the request, so a late response does not prolong it. The earliest
    /// end counts, but not one that its own `Date` calls past.
    pub fn from_report(report: ReportedLifetime, trip: RoundTrip) -> Self {
        let service_time = trip.service_time_at_send();
        let left = [report.expires_at, report.stated_end, report.source_end]
            .into_iter()
            .flatten()
            .map(|end| end.duration_since(service_time))
            .filter(|left| *left >= SHORTEST)
            .min();
        let issued_at = trip.sent_at;
        Self { issued_at, expires_at: left.map(|left| later(issued_at, left)) }
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

    fn report(end: i64) -> ReportedLifetime {
        ReportedLifetime { expires_at: Some(at(end)), ..ReportedLifetime::default() }
    }

    /// A response that came at once, when the local clock showed `local`.
    fn quick(local: i64, date: i64) -> RoundTrip {
        RoundTrip { sent_at: at(local), received_at: at(local), date: Some(at(date)) }
    }

    #[test]
    fn a_local_clock_off_by_a_day_changes_nothing() {
        for wrong in [-86_400, 0, 86_400] {
            let life = Lifetime::from_report(report(NOW + HOURS_12), quick(NOW + wrong, NOW));
            let left = life.expires_at.unwrap().duration_since(at(NOW + wrong)).as_secs();
            assert!((HOURS_12 - 1..=HOURS_12).contains(&left), "{wrong}: {left}");
        }
    }

    #[test]
    fn a_late_response_is_no_wrong_clock_and_prolongs_no_life() {
        for (sent, received) in [(0, 8), (0, 0), (0, 3600), (-1, 1)] {
            let trip = RoundTrip {
                sent_at: at(NOW + sent),
                received_at: at(NOW + received),
                date: Some(at(NOW)),
            };
            assert_eq!(trip.clock_skew(), SignedDuration::ZERO);
            let life = Lifetime::from_report(report(NOW + 10), trip);
            assert_eq!(life.expires_at, Some(at(NOW + 10)));
        }
    }

    #[test]
    fn a_late_response_of_a_service_with_another_clock_prolongs_no_life() {
        for skew in [-86_400, 86_400] {
            let trip = RoundTrip {
                sent_at: at(NOW + skew),
                received_at: at(NOW + skew + 8),
                date: Some(at(NOW)),
            };
            assert!((trip.clock_skew().as_secs() - skew).abs() <= 8, "{:?}", trip.clock_skew());
            let end = Lifetime::from_report(report(NOW + 10), trip).expires_at.unwrap();
            assert!(end <= at(NOW + skew + 10), "{end}");
        }
    }

    #[test]
    fn an_expiry_before_the_services_date_is_unknown() {
        // What moto answers: an end in 2015, whatever the day.
        let life = Lifetime::from_report(report(1_420_000_000), quick(NOW, NOW));
        assert_eq!(life.expires_at, None);
        assert_eq!(life.serves_until(), None);
        assert!(life.serves(at(NOW + 10 * HOURS_12)));
    }

    #[test]
    fn a_local_clock_in_2010_does_not_put_2015_in_the_future() {
        let life = Lifetime::from_report(report(1_420_000_000), quick(1_262_304_000, NOW));
        assert_eq!(life.expires_at, None);
    }

    #[test]
    fn the_earliest_end_counts() {
        let ends = ReportedLifetime { source_end: Some(at(NOW + 900)), ..report(NOW + HOURS_12) };
        assert_eq!(Lifetime::from_report(ends, quick(NOW, NOW)).expires_at, Some(at(NOW + 900)));
        let ends = ReportedLifetime { stated_end: Some(at(NOW + 600)), ..ends };
        assert_eq!(Lifetime::from_report(ends, quick(NOW, NOW)).expires_at, Some(at(NOW + 600)));
    }

    #[test]
    fn setting_the_clock_back_moves_the_expiry_too() {
        let life = Lifetime { issued_at: at(NOW), expires_at: Some(at(NOW + HOURS_12)) };
        let moved = life.set_back(SignedDuration::from_hours(24));
        assert!(moved.serves(at(NOW - 86_400 + HOURS_12 - 61)));
        assert!(!moved.serves(at(NOW - 86_400 + HOURS_12 - 60)));
    }

    proptest! {
        #[test]
        fn a_token_is_served_until_the_margin_before_its_expiry(
            left in 1i64..10_000_000_000, skew in -10_000_000_000i64..10_000_000_000,
        ) {
            let life = Lifetime::from_report(report(NOW + left), quick(NOW + skew, NOW));
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
        fn an_extreme_expiry_does_not_panic(received in any::<i32>()) {
            for end in [Timestamp::MIN, Timestamp::MAX] {
                let report = ReportedLifetime {
                    expires_at: Some(end), stated_end: Some(end), source_end: Some(end),
                };
                let life = Lifetime::from_report(report, quick(received.into(), NOW));
                let _ = (life.serves_until(), life.set_back(SignedDuration::MAX));
            }
        }
    }
}
