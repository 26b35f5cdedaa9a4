//! Simulates the calls of a fleet of agents to AWS, with the agent's own refresh schedule. Prints
//! figures, draws `docs/fleet-*.svg`, and fails if a limit is exceeded.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52, for plots")]

mod outage;
mod plot;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use registry_agent::domain::credentials::lifetime::Lifetime;
use registry_agent::domain::credentials::refresh_schedule::{RefreshPhase, refresh_at};

use crate::plot::{Plot, Series};

const AGENTS: u32 = 100_000;
const DAYS: usize = 7;
const BUCKET: i64 = 600;
const BUCKETS_A_DAY: usize = 144;
/// The limit for the ratio of peak to mean after the first day.
const MAX_PEAK_TO_MEAN: f64 = 1.1;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(12);

fn main() -> std::io::Result<()> {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    std::fs::create_dir_all(&docs)?;

    let calls = week(&mut Rng::with_seed(1));
    let ratios: Vec<f64> = calls.chunks(BUCKETS_A_DAY).map(peak_to_mean).collect();
    let after_first_day = peak_to_mean(&calls[BUCKETS_A_DAY..]);
    println!("{AGENTS} agents started within one minute, tokens valid for 12 h, one week:");
    println!("  ratio of peak to mean of the calls in 10 min, per day: {ratios:.3?}");
    println!("  after the first day: {after_first_day:.3} (limit: {MAX_PEAK_TO_MEAN})");
    std::fs::write(docs.join("fleet-week.svg"), week_plot(&calls).to_svg())?;
    std::fs::write(docs.join("fleet-peak.svg"), peak_plot(&ratios).to_svg())?;

    let outage = outage::simulate(&mut Rng::with_seed(2));
    outage.print();
    std::fs::write(docs.join("fleet-outage.svg"), outage.plot().to_svg())?;

    assert!(after_first_day <= MAX_PEAK_TO_MEAN, "the load of a fleet is too uneven");
    assert_eq!(outage.expired, 0, "a token expired in an outage of half an hour");
    Ok(())
}

/// The calls per ten minutes in a week without failures.
fn week(random: &mut Rng) -> Vec<u32> {
    let mut calls = vec![0; DAYS * BUCKETS_A_DAY];
    for _ in 0..AGENTS {
        let mut now = START + SignedDuration::from_secs_f64(60.0 * random.f64());
        let mut phase = RefreshPhase::First { point: random.f64() };
        loop {
            let bucket = usize::try_from(now.duration_since(START).as_secs() / BUCKET).unwrap_or(0);
            let Some(count) = calls.get_mut(bucket) else { break };
            *count += 1;
            let life = Lifetime { issued_at: now, expires_at: Some(now + TOKEN_LIFE) };
            now = refresh_at(&life, now, random.f64(), phase);
            phase = RefreshPhase::Later;
        }
    }
    calls
}

fn peak_to_mean(calls: &[u32]) -> f64 {
    let mean = f64::from(calls.iter().sum::<u32>()) / calls.len() as f64;
    f64::from(calls.iter().copied().max().unwrap_or(0)) / mean
}

fn week_plot(calls: &[u32]) -> Plot {
    let points = calls.iter().enumerate().map(|(i, n)| (i as f64 / 144.0, f64::from(*n))).collect();
    Plot {
        title: "100,000 agents that start within one minute".to_owned(),
        x: ("days".to_owned(), 7.0, 1.0),
        y: (
            "calls in 10 minutes (the start itself, 100,000, is off the scale)".to_owned(),
            4000.0,
            1000.0,
        ),
        series: vec![Series { name: "calls".to_owned(), color: "#1f6feb", points }],
    }
}

fn peak_plot(ratios: &[f64]) -> Plot {
    let points = ratios.iter().enumerate().skip(1).map(|(i, r)| ((i + 1) as f64, *r)).collect();
    Plot {
        title: "Busiest ten minutes of each day, relative to the day's mean".to_owned(),
        x: ("day".to_owned(), 7.0, 1.0),
        y: ("peak / mean".to_owned(), 1.2, 0.2),
        series: vec![
            Series { name: "measured".to_owned(), color: "#1f6feb", points },
            Series {
                name: "limit".to_owned(),
                color: "#d1242f",
                points: vec![(1.0, MAX_PEAK_TO_MEAN), (7.0, MAX_PEAK_TO_MEAN)],
            },
        ],
    }
}
