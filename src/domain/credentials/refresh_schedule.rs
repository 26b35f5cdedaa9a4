//! Computes when to refresh and when to retry, from lifetime, current time, jitter and failures.
//!
//! A jitter is a uniformly distributed random number in `0.0..1.0`. It is a parameter, so that
//! tests can cover both ends. `benches/fleet` shows how these rules affect a fleet and AWS.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::lifetime::{Lifetime, saturating_add};

/// Which refresh of a login this is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RefreshPhase {
    /// The first one after the agent started. Agents that start together would refresh together for
    /// days, so the first refresh falls on a random point of its interval.
    First {
        /// A second jitter: the point within the interval, from 0 (its start) to 1 (its end).
        point: f64,
    },
    /// Any later one.
    Later,
}

/// Why a request must be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryClass {
    /// AWS or a registry did not respond, reported a temporary failure, or limited the rate.
    Transient,
    /// AWS rejected the identity. IAM is eventually consistent, so a few quick retries come first.
    AwsRefused,
    /// The registry rejected the password. It may block the address after too many attempts.
    PasswordRefused,
}

/// How often a credential with an unknown expiry is fetched again.
const UNKNOWN_LIFE_INTERVAL: SignedDuration = SignedDuration::from_hours(1);
/// The minimum time between refreshes, unless a quarter of the lifetime is shorter.
const MIN_GAP: SignedDuration = SignedDuration::from_secs(30);
/// The minimum time between refreshes for any lifetime.
const ABSOLUTE_MIN_GAP: SignedDuration = SignedDuration::from_millis(250);

const FIRST_DELAY: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_DELAY: SignedDuration = SignedDuration::from_mins(5);
const QUICK_TRIES: u32 = 4;
const AWS_REFUSED_INTERVAL: SignedDuration = SignedDuration::from_mins(15);
const PASSWORD_REFUSED_INTERVAL: SignedDuration = SignedDuration::from_hours(1);
/// A longer `Retry-After` is treated as a mistake of the service.
const LONGEST_RETRY_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// When to fetch the next credential: after half the lifetime of this one, ±10 %, but not before
/// `now` and not within the minimum gap after this one.
pub fn refresh_at(life: &Lifetime, now: Timestamp, jitter: f64, phase: RefreshPhase) -> Timestamp {
    let half = life.length().map_or(UNKNOWN_LIFE_INTERVAL, |length| length / 2);
    let interval = half.mul_f64(0.9 + 0.2 * unit(jitter));
    // A point of the jittered interval, not of the mean one: then the first refreshes of a fleet
    // are the residual lives of a renewal process in equilibrium, so its load is even from the
    // start.
    let wait = match phase {
        RefreshPhase::First { point } => interval.mul_f64(unit(point)),
        RefreshPhase::Later => interval,
    };
    saturating_add(life.issued_at, wait.max(min_gap(Some(life)))).max(now)
}

/// A retry that is due only after the current token ends moves to half the remaining time, whatever
/// `Retry-After` says: otherwise clients would have no token.
pub fn before_end(due: Timestamp, now: Timestamp, serves_until: Timestamp) -> Timestamp {
    if due < serves_until || serves_until <= now {
        return due;
    }
    let left = serves_until.duration_since(now);
    saturating_add(now, (left / 2).max(ABSOLUTE_MIN_GAP))
}

/// The earliest time at which a client that needs a token can trigger a retry, after an attempt
/// that failed at `failed_at`. `life` is the lifetime of the last token.
pub fn retry_on_demand_at(failed_at: Timestamp, life: Option<&Lifetime>) -> Timestamp {
    saturating_add(failed_at, min_gap(life))
}

fn min_gap(life: Option<&Lifetime>) -> SignedDuration {
    let length = life.and_then(Lifetime::length);
    length.map_or(MIN_GAP, |length| MIN_GAP.min(length / 4)).max(ABSOLUTE_MIN_GAP)
}

/// When to retry after `failures` consecutive failures of this `class`. The failure at `now` is
/// included, so the count is at least 1.
///
/// The delay is added to the service's `Retry-After`, so that many clients with the same value do
/// not return at the same time.
pub fn retry_at(
    now: Timestamp,
    failures: u32,
    class: RetryClass,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Timestamp {
    let delay = match class {
        RetryClass::Transient => backoff(failures, jitter),
        RetryClass::AwsRefused if failures <= QUICK_TRIES => backoff(failures, jitter),
        RetryClass::AwsRefused => at_least(AWS_REFUSED_INTERVAL, jitter),
        RetryClass::PasswordRefused => at_least(PASSWORD_REFUSED_INTERVAL, jitter),
    };
    let asked = retry_after.map_or(SignedDuration::ZERO, |asked| {
        SignedDuration::try_from(asked).unwrap_or(LONGEST_RETRY_AFTER).min(LONGEST_RETRY_AFTER)
    });
    saturating_add(now, asked + delay)
}

/// Full jitter: between zero and a bound that doubles from 1 s to 5 min.
fn backoff(failures: u32, jitter: f64) -> SignedDuration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY).mul_f64(unit(jitter))
}

/// The interval, extended by up to a tenth.
fn at_least(interval: SignedDuration, jitter: f64) -> SignedDuration {
    interval.mul_f64(1.0 + 0.1 * unit(jitter))
}

fn unit(jitter: f64) -> f64 {
    if jitter.is_nan() { 0.5 } else { jitter.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn secs(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    const NOW: i64 = 1_800_000_000;

    fn life(seconds: i64) -> Lifetime {
        Lifetime { issued_at: at(NOW), expires_at: Some(at(NOW + seconds)) }
    }

    #[test]
    fn a_twelve_hour_token_is_refreshed_after_six_hours_give_or_take_a_tenth() {
        for (jitter, minutes) in [(0.0, 324), (0.5, 360), (1.0, 396)] {
            let due = refresh_at(&life(12 * 3600), at(NOW), jitter, RefreshPhase::Later);
            assert_eq!(due.duration_since(at(NOW)).as_mins(), minutes);
        }
    }

    #[test]
    fn a_retry_after_does_not_outlast_the_current_token() {
        let (now, day) = (at(NOW), Some(Duration::from_hours(24)));
        let due = retry_at(now, 1, RetryClass::Transient, day, 0.5);
        assert_eq!(before_end(due, now, at(NOW + 3600)), at(NOW + 1800));
        assert_eq!(before_end(at(NOW + 60), now, at(NOW + 90)), at(NOW + 60));
        assert_eq!(before_end(due, now, now), due, "a dead token does not hurry anything");
    }

    #[test]
    fn a_token_with_an_unknown_lifetime_is_renewed_hourly() {
        let unknown = Lifetime { issued_at: at(NOW), expires_at: None };
        let due = refresh_at(&unknown, at(NOW), 0.5, RefreshPhase::Later);
        assert_eq!(due, at(NOW + 3600));
    }

    #[test]
    fn work_due_during_a_suspend_is_due_on_resume() {
        let week_later = at(NOW + 7 * 86_400);
        assert_eq!(refresh_at(&life(12 * 3600), week_later, 0.5, RefreshPhase::Later), week_later);
    }

    #[test]
    fn an_aws_rejection_is_retried_quickly_a_few_times_and_then_every_15_minutes() {
        let delay = |failures| {
            retry_at(at(NOW), failures, RetryClass::AwsRefused, None, 0.0).duration_since(at(NOW))
        };
        assert_eq!(delay(1), secs(0));
        assert_eq!(delay(QUICK_TRIES), secs(0));
        assert_eq!(delay(QUICK_TRIES + 1), secs(15 * 60));
        assert_eq!(delay(u32::MAX), secs(15 * 60));
    }

    #[test]
    fn the_bound_of_the_backoff_doubles_from_a_second_to_five_minutes() {
        let bounds: Vec<i64> = (1..=11)
            .map(|failures| {
                let again = retry_at(at(NOW), failures, RetryClass::Transient, None, 1.0);
                again.duration_since(at(NOW)).as_secs()
            })
            .collect();
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    fn any_phase() -> impl Strategy<Value = RefreshPhase> {
        prop_oneof![
            Just(RefreshPhase::Later),
            (0.0..1.0).prop_map(|point| RefreshPhase::First { point })
        ]
    }

    fn any_class() -> impl Strategy<Value = RetryClass> {
        prop_oneof![
            Just(RetryClass::Transient),
            Just(RetryClass::AwsRefused),
            Just(RetryClass::PasswordRefused)
        ]
    }

    proptest! {
        #[test]
        fn a_refresh_leaves_time_for_retries_and_keeps_the_minimum_gap(
            seconds in 1i64..100_000_000, passed in 0i64..200_000_000, jitter in 0.0..1.0, phase in any_phase(),
        ) {
            let (life, now) = (life(seconds), at(NOW + passed));
            let due = refresh_at(&life, now, jitter, phase);
            prop_assert!(due >= now);
            let gap = secs(30).min(secs(seconds) / 4);
            prop_assert!(due >= saturating_add(life.issued_at, gap));
            let latest = saturating_add(life.issued_at, secs(seconds).mul_f64(0.55));
            prop_assert!(due == now || due <= latest);
            prop_assert!(due == now || due < life.serves_until().unwrap());
            if phase == RefreshPhase::Later {
                let earliest = saturating_add(life.issued_at, secs(seconds).mul_f64(0.449_999));
                prop_assert!(due >= earliest);
            }
        }

        #[test]
        fn the_first_refresh_is_spread_over_the_whole_interval(jitter in 0.0..1.0, point in 0.1..1.0) {
            let twelve_hours = life(12 * 3600);
            let whole = refresh_at(&twelve_hours, at(NOW), jitter, RefreshPhase::Later).duration_since(at(NOW));
            let part = refresh_at(&twelve_hours, at(NOW), jitter, RefreshPhase::First { point })
                .duration_since(at(NOW));
            prop_assert!((part.as_secs_f64() / whole.as_secs_f64() - point).abs() < 0.001);
        }

        #[test]
        fn tokens_without_a_lifetime_are_not_refreshed_in_a_loop(nanos in -5i64..1_000_000, jitter in 0.0..1.0, phase in any_phase()) {
            let end = saturating_add(at(NOW), SignedDuration::from_nanos(nanos));
            let life = Lifetime { issued_at: at(NOW), expires_at: Some(end) };
            prop_assert!(refresh_at(&life, at(NOW), jitter, phase) >= saturating_add(at(NOW), ABSOLUTE_MIN_GAP));
        }

        #[test]
        fn retries_stay_within_their_bounds_and_after_the_retry_after(
            failures in any::<u32>(), class in any_class(), jitter in 0.0..1.0,
            asked in proptest::option::of(0u64..1_000_000_000),
        ) {
            let again = retry_at(at(NOW), failures, class, asked.map(Duration::from_secs), jitter);
            let asked = secs(i64::try_from(asked.unwrap_or(0)).unwrap()).min(secs(86_400));
            let delay = again.duration_since(at(NOW)) - asked;
            prop_assert!(!delay.is_negative());
            let longest = match class {
                RetryClass::Transient => secs(300),
                RetryClass::AwsRefused => secs(990),
                RetryClass::PasswordRefused => secs(3960),
            };
            prop_assert!(delay <= longest);
            if class == RetryClass::PasswordRefused {
                prop_assert!(delay >= secs(3600));
            }
        }
    }
}
