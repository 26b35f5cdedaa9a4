//! Credential lifetimes, corrected for the difference between the local clock and the service's.

use jiff::{SignedDuration, Timestamp};

/// The lifetime of an exchanged credential, by the local clock (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// When it was requested: the credential is no older than this.
    pub issued_at: Timestamp,
    /// When it expires; `None` if unknown.
    pub expires_at: Option<Timestamp>,
}

/// The expiry times that a service stated, by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportedLifetime {
    /// The expiry that the service stated for the credential.
    pub expires_at: Option<Timestamp>,
    /// The expiry in the credential itself.
    pub stated_end: Option<Timestamp>,
    /// The expiry of the credential that signed the exchange: the new one cannot outlive it.
    pub source_end: Option<Timestamp>,
}

/// The times of one request and its response, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrip {
    /// When the request was sent, by the local clock.
    pub sent_at: Timestamp,
    /// When the response arrived, by the local clock.
    pub received_at: Timestamp,
    /// The `Date` of the response, by the service's clock, truncated to whole seconds.
    pub date: Option<Timestamp>,
}

/// From this clock difference on, the user sees a remark.
pub const SKEW_TO_REMARK: SignedDuration = SignedDuration::from_mins(1);

impl RoundTrip {
    /// How far the local clock is ahead of the service's (negative if behind). Zero if the service
    /// sent no `Date`, or if `Date` lies between request and response: then the response was slow,
    /// or this process was suspended.
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

    /// The service's clock at `sent_at`. If the two clocks differ, this is the latest instant that
    /// `Date` allows, so that no lifetime is overestimated.
    fn service_time_at_send(&self) -> Timestamp {
        match self.date {
            Some(date) if !self.clock_skew().is_zero() => {
                saturating_add(date, SignedDuration::from_secs(1))
            }
            _ => self.sent_at,
        }
    }
}

/// A smaller difference between the clocks counts as none: `Date` is truncated to whole seconds,
/// and synchronized clocks differ by less than another second.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// The shortest lifetime that can be derived from `Date`.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

/// The longest safety margin before expiry.
const MAX_MARGIN: SignedDuration = SignedDuration::from_secs(60);

impl Lifetime {
    /// Converts the service's times to the local clock.
    ///
    /// Only the differences between `Date` and the stated expiry times count, so a wrong local
    /// clock does no harm. The lifetime starts at the request, so a late response does not prolong
    /// it. The earliest expiry counts, except one that is already past according to `Date`.
    pub fn from_report(report: ReportedLifetime, trip: RoundTrip) -> Self {
        let service_time = trip.service_time_at_send();
        let left = [report.expires_at, report.stated_end, report.source_end]
            .into_iter()
            .flatten()
            .map(|end| end.duration_since(service_time))
            .filter(|left| *left >= SHORTEST)
            .min();
        let issued_at = trip.sent_at;
        Self { issued_at, expires_at: left.map(|left| saturating_add(issued_at, left)) }
    }

    /// The latest time at which the credential may be handed out: before its expiry by 60 s or a
    /// tenth of its lifetime, whichever is shorter. `None` if the expiry is unknown.
    pub fn serves_until(&self) -> Option<Timestamp> {
        let margin = MAX_MARGIN.min(self.length()? / 10);
        self.expires_at.map(|end| saturating_add(end, -margin))
    }

    /// Whether the credential may be handed out at `now`.
    pub fn serves(&self, now: Timestamp) -> bool {
        self.serves_until().is_none_or(|end| now < end)
    }

    /// The length of the lifetime from issue to expiry; never negative.
    pub fn length(&self) -> Option<SignedDuration> {
        self.expires_at.map(|end| end.duration_since(self.issued_at).max(SignedDuration::ZERO))
    }

    /// The lifetime after the local clock was set back by `by`. Without this, an expired token
    /// would look valid for that long.
    #[must_use]
    pub fn set_back(self, by: SignedDuration) -> Self {
        Self {
            issued_at: saturating_add(self.issued_at, -by),
            expires_at: self.expires_at.map(|end| saturating_add(end, -by)),
        }
    }
}

/// `instant + by`, clamped to the valid range.
pub(crate) fn saturating_add(instant: Timestamp, by: SignedDuration) -> Timestamp {
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

    /// A response that arrived immediately, when the local clock showed `local`.
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
    fn a_late_response_is_not_a_wrong_clock_and_does_not_prolong_the_lifetime() {
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
    fn a_late_response_of_a_service_with_another_clock_does_not_prolong_the_lifetime() {
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
        // moto always states an expiry in 2015.
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
    fn the_earliest_expiry_counts() {
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
                // The service's clock runs alongside ours, so the real expiry is at most `left`
                // from now.
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
