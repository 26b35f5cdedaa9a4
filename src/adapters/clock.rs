//! The wall clock: the only file that reads it or waits for it.
//!
//! Deadlines are instants of the wall clock. A relative timer would be late by the time that a
//! laptop was suspended. This timer is absolute, so it fires on resume, and the kernel reports when
//! the clock is set (`timerfd_create(2)`, `TFD_TIMER_CANCEL_ON_SET`). There is no periodic tick: a
//! machine with no deadline due stays asleep.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// The current time. Clones share the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    /// The wall clock, and how far it was ahead of the boot-time clock at the last check.
    System {
        wall_minus_boot: Mutex<SignedDuration>,
    },
    Manual(watch::Sender<Manual>),
}

#[derive(Debug, Clone, Copy)]
struct Manual {
    now: Timestamp,
    /// The total set-back that has not been reported yet.
    set_back: SignedDuration,
}

/// Two clocks that are read in sequence seem to drift by the time between the reads.
const READ_TOLERANCE: SignedDuration = SignedDuration::from_millis(500);

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        Self(Arc::new(Inner::System { wall_minus_boot: Mutex::new(wall_minus_boot()) }))
    }

    /// A clock that stays at `start` until the handle moves it.
    pub fn manual(start: Timestamp) -> (Self, ManualClock) {
        let (sender, _) = watch::channel(Manual { now: start, set_back: SignedDuration::ZERO });
        let clock = Self(Arc::new(Inner::Manual(sender)));
        (clock.clone(), ManualClock(clock))
    }

    /// The current time, in UTC.
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Inner::System { .. } => system_now(),
            Inner::Manual(sender) => sender.borrow().now,
        }
    }

    /// Waits until `instant`, through suspend and resume.
    ///
    /// Returns early if the clock is set, and immediately while [`Clock::take_set_back`] has a
    /// set-back to report: call that first, then check [`Clock::now`] again.
    pub async fn sleep_until(&self, instant: Timestamp) {
        match &*self.0 {
            Inner::System { wall_minus_boot: last_offset } => {
                system_sleep(last_offset, instant).await;
            }
            Inner::Manual(sender) => {
                let due = |manual: &Manual| manual.now >= instant || manual.set_back.is_positive();
                // The sender lives as long as `self`, so the wait cannot fail.
                let _ = sender.subscribe().wait_for(due).await;
            }
        }
    }

    /// How far the clock was set back since the last call; `None` if it was not.
    ///
    /// Intended for the one owner of deadlines, after every wake-up: it must move them back by the
    /// same amount, because events outside this machine were not set back. If the clock is set
    /// forward, deadlines that it has passed are due.
    pub fn take_set_back(&self) -> Option<SignedDuration> {
        match &*self.0 {
            Inner::System { wall_minus_boot: last_offset } => {
                let mut last_offset = last_offset.lock().unwrap_or_else(PoisonError::into_inner);
                let shift = wall_minus_boot() - *last_offset;
                if shift.abs() > READ_TOLERANCE {
                    *last_offset += shift;
                }
                (shift < -READ_TOLERANCE).then_some(-shift)
            }
            Inner::Manual(sender) => {
                let mut taken = SignedDuration::ZERO;
                sender.send_if_modified(|manual| {
                    taken = std::mem::take(&mut manual.set_back);
                    false
                });
                taken.is_positive().then_some(taken)
            }
        }
    }
}

/// Moves a manual clock.
#[derive(Debug, Clone)]
pub struct ManualClock(Clock);

impl ManualClock {
    /// Moves the clock forward by `by`.
    pub fn advance(&self, by: SignedDuration) {
        self.change(|manual| manual.now += by);
    }

    /// Sets the clock, as `date -s` does. Deadlines that are due by then fire immediately.
    pub fn set(&self, now: Timestamp) {
        self.change(|manual| {
            let back = manual.now.duration_since(now);
            manual.set_back += back.max(SignedDuration::ZERO);
            manual.now = now;
        });
    }

    fn change(&self, change: impl FnOnce(&mut Manual)) {
        if let Inner::Manual(sender) = &*self.0.0 {
            sender.send_modify(change);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn system_now() -> Timestamp {
    Timestamp::now()
}

/// How far the wall clock is ahead of the time since boot, including suspend. It changes only when
/// the wall clock is set.
fn wall_minus_boot() -> SignedDuration {
    // The kernel has had both clocks since 2.6.39. Without them, no set-back would be detected.
    let boot = nix::time::ClockId::CLOCK_BOOTTIME.now().map(Duration::from).unwrap_or_default();
    system_now().as_duration() - SignedDuration::try_from(boot).unwrap_or(SignedDuration::ZERO)
}

async fn system_sleep(last_offset: &Mutex<SignedDuration>, instant: Timestamp) {
    let timer = timer(instant);
    // Checked after the timer is armed, so that a change of the clock cannot fall in between.
    let shift = wall_minus_boot() - *last_offset.lock().unwrap_or_else(PoisonError::into_inner);
    if instant <= system_now() || shift < -READ_TOLERANCE {
        return;
    }
    match timer {
        // The descriptor is readable when the instant is reached or the clock was set.
        Ok(timer) => drop(timer.readable().await.map(|_| ())),
        // For example, no descriptors are left. Firing late after a suspend is better than never.
        Err(error) => {
            tracing::warn!(
                "the wall-clock timer cannot be used: {error}; waiting on the monotonic clock"
            );
            let wait = instant.duration_since(system_now()).min(SignedDuration::from_mins(1));
            tokio::time::sleep(wait.unsigned_abs()).await;
        }
    }
}

fn timer(instant: Timestamp) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
    let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
    timer.set(
        Expiration::OneShot(TimeSpec::from_duration(instant.as_duration().unsigned_abs())),
        TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET,
    )?;
    super::process::awaitable(OwnedFd::from(timer))
}

/// Blocks this process for `time`.
pub fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "this is the room of the clock")]
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn days(days: i64) -> SignedDuration {
        SignedDuration::from_hours(24 * days)
    }

    async fn is_done(sleep: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *sleep).poll(cx).is_ready()))
            .await
    }

    #[tokio::test]
    async fn a_deadline_fires_when_its_instant_has_come_and_not_before() {
        let (clock, hands) = Clock::manual(START);
        let mut sleep = pin!(clock.sleep_until(START + days(1)));
        hands.advance(days(1) - SignedDuration::from_nanos(1));
        assert!(!is_done(&mut sleep).await);
        hands.advance(SignedDuration::from_nanos(1));
        assert!(is_done(&mut sleep).await);
    }

    #[tokio::test]
    async fn a_week_of_suspend_fires_what_fell_due_in_it_at_once() {
        let (clock, hands) = Clock::manual(START);
        let mut sleep = pin!(clock.sleep_until(START + SignedDuration::from_hours(6)));
        hands.advance(days(7));
        assert!(is_done(&mut sleep).await);
        assert_eq!(clock.take_set_back(), None);
    }

    #[tokio::test]
    async fn a_clock_set_a_day_forward_fires_what_it_passed_and_nothing_is_moved() {
        let (clock, hands) = Clock::manual(START);
        let mut sleep = pin!(clock.sleep_until(START + SignedDuration::from_hours(6)));
        hands.set(START + days(1));
        assert!(is_done(&mut sleep).await);
        assert_eq!(clock.take_set_back(), None);
    }

    #[tokio::test]
    async fn a_clock_set_a_day_back_wakes_the_sleeper_and_says_by_how_much() {
        let (clock, hands) = Clock::manual(START);
        let mut sleep = pin!(clock.sleep_until(START + SignedDuration::from_hours(6)));
        hands.set(START - days(1));
        assert!(is_done(&mut sleep).await);
        assert_eq!(clock.take_set_back(), Some(days(1)));
        assert_eq!(clock.take_set_back(), None);
    }

    #[tokio::test]
    async fn a_clock_set_forward_and_back_again_between_two_sleeps_is_noticed() {
        let (clock, hands) = Clock::manual(START);
        hands.set(START + days(1));
        hands.set(START);
        assert_eq!(clock.take_set_back(), Some(days(1)));
    }

    #[tokio::test]
    async fn the_system_clock_waits_for_an_instant_and_not_for_one_that_is_past() {
        let clock = Clock::system();
        clock.sleep_until(clock.now() - days(1)).await;
        let instant = clock.now() + SignedDuration::from_millis(50);
        clock.sleep_until(instant).await;
        assert!(clock.now() >= instant);
        assert_eq!(clock.take_set_back(), None);
    }

    #[tokio::test]
    async fn the_system_clock_takes_an_instant_at_the_end_of_time() {
        let clock = Clock::system();
        let mut sleep = pin!(clock.sleep_until(Timestamp::MAX));
        assert!(!is_done(&mut sleep).await);
    }
}
