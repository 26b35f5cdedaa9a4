//! Simulates twenty thousand agents that share one AWS account and region, limited by its throttle:
//! they start within one minute, and two days later AWS is down for half an hour.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use registry_agent::domain::credentials::lifetime::Lifetime;
use registry_agent::domain::credentials::refresh_schedule::{
    RefreshPhase, RetryClass, refresh_at, retry_at,
};

use crate::plot::{Plot, Series};
use crate::{START, TOKEN_LIFE};

const AGENTS: usize = 20_000;
/// The throttle of AWS: the sustained calls per second, and the burst.
const RATE: f64 = 20.0;
const BURST: f64 = 200.0;

const OUTAGE_AT: i64 = 48 * 3600;
const OUTAGE_LENGTH: i64 = 1800;
const END: i64 = 54 * 3600;
/// The period in the plot: from 15 minutes before the outage to 15 minutes after it.
const DRAWN: std::ops::Range<i64> = OUTAGE_AT - 900..OUTAGE_AT + OUTAGE_LENGTH + 900;
const BUCKET: i64 = 10;

/// The results of the simulation.
pub(crate) struct Outage {
    /// How often a token expired before it was renewed.
    pub(crate) expired: usize,
    /// Seconds until the last agent had its first token.
    started: i64,
    /// The number of renewals that became due during the outage.
    overdue: usize,
    /// Seconds from the end of the outage until all of them had succeeded.
    recovered: i64,
    /// The maximum number of calls in one second after the outage.
    busiest_second: u32,
    /// Calls that the throttle rejected after the outage.
    throttled: u32,
    asked: Vec<u32>,
    granted: Vec<u32>,
}

#[derive(Clone)]
struct Agent {
    life: Option<Lifetime>,
    failures: u32,
    /// When the pending renewal became due.
    due: Timestamp,
}

pub(crate) fn simulate(random: &mut Rng) -> Outage {
    let mut agents = vec![Agent { life: None, failures: 0, due: START }; AGENTS];
    let mut events: BinaryHeap<Reverse<(Timestamp, usize)>> = (0..AGENTS)
        .map(|agent| Reverse((START + SignedDuration::from_secs_f64(60.0 * random.f64()), agent)))
        .collect();
    let (from, to) = (at(OUTAGE_AT), at(OUTAGE_AT + OUTAGE_LENGTH));
    let buckets = usize::try_from((DRAWN.end - DRAWN.start) / BUCKET).unwrap_or(0);
    let mut results = Outage {
        expired: 0,
        started: 0,
        overdue: 0,
        recovered: 0,
        busiest_second: 0,
        throttled: 0,
        asked: vec![0; buckets],
        granted: vec![0; buckets],
    };
    let mut throttle = Throttle { tokens: BURST, at: START };
    let mut second = (0, 0);
    while let Some(Reverse((now, number))) = events.pop() {
        if now >= at(END) {
            break;
        }
        let agent = &mut agents[number];
        if agent.life.is_some_and(|life| !life.serves(now)) {
            results.expired += 1;
        }
        let out = (from..to).contains(&now);
        let granted = !out && throttle.grants(now);
        let elapsed = now.duration_since(START).as_secs();
        let recovering = now >= to && elapsed < DRAWN.end;
        if recovering {
            second = if second.0 == elapsed { (elapsed, second.1 + 1) } else { (elapsed, 1) };
            results.busiest_second = results.busiest_second.max(second.1);
            results.throttled += u32::from(!granted);
        }
        if DRAWN.contains(&elapsed) {
            let bucket = usize::try_from((elapsed - DRAWN.start) / BUCKET).unwrap_or(0);
            results.asked[bucket] += 1;
            results.granted[bucket] += u32::from(granted);
        }
        let next = if granted {
            let phase = match agent.life {
                None => RefreshPhase::First { point: random.f64() },
                Some(_) => RefreshPhase::Later,
            };
            if agent.life.is_none() {
                results.started = elapsed;
            } else if now >= to && agent.due < to {
                results.overdue += 1;
                results.recovered = elapsed - OUTAGE_AT - OUTAGE_LENGTH;
            }
            let life = Lifetime { issued_at: now, expires_at: Some(now + TOKEN_LIFE) };
            let next = refresh_at(&life, now, random.f64(), phase);
            *agent = Agent { life: Some(life), failures: 0, due: next };
            next
        } else {
            agent.failures += 1;
            retry_at(now, agent.failures, RetryClass::Transient, None, random.f64())
        };
        events.push(Reverse((next, number)));
    }
    results
}

impl Outage {
    pub(crate) fn print(&self) {
        println!(
            "{AGENTS} agents on one account and region, throttled at {RATE} calls/s, bursts of {BURST}:"
        );
        println!("  all have a first token after {} s", self.started);
        println!(
            "  an outage of {OUTAGE_LENGTH} s leaves {} renewals overdue; all succeed within {} s after its end",
            self.overdue, self.recovered
        );
        println!(
            "  busiest second after the outage: {} calls; throttled calls: {}",
            self.busiest_second, self.throttled
        );
        println!("  tokens that expired: {}", self.expired);
    }

    pub(crate) fn plot(&self) -> Plot {
        let per_second = |counts: &[u32]| {
            let begin = (DRAWN.start - OUTAGE_AT) as f64 / 60.0;
            let step = BUCKET as f64 / 60.0;
            let rate = |count: &u32| f64::from(*count) / BUCKET as f64;
            counts
                .iter()
                .enumerate()
                .map(|(i, n)| (begin + 15.0 + i as f64 * step, rate(n)))
                .collect()
        };
        Plot {
            title: "20,000 agents of one account, AWS down from minute 15 to 45".to_owned(),
            x: ("minutes".to_owned(), 60.0, 15.0),
            y: ("calls per second".to_owned(), 25.0, 5.0),
            series: vec![
                Series {
                    name: "asked".to_owned(),
                    color: "#d1242f",
                    points: per_second(&self.asked),
                },
                Series {
                    name: "granted".to_owned(),
                    color: "#1f6feb",
                    points: per_second(&self.granted),
                },
                Series {
                    name: "throttle".to_owned(),
                    color: "#8c959f",
                    points: vec![(0.0, RATE), (60.0, RATE)],
                },
            ],
        }
    }
}

/// A token bucket, as AWS describes its API throttling.
struct Throttle {
    tokens: f64,
    at: Timestamp,
}

impl Throttle {
    fn grants(&mut self, now: Timestamp) -> bool {
        let passed = now.duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * RATE).min(BURST);
        self.at = now;
        let grants = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(grants));
        grants
    }
}

fn at(second: i64) -> Timestamp {
    START + SignedDuration::from_secs(second)
}
