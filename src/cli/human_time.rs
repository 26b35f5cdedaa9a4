//! Durations and instants as people say them: "in 5 h", "3 min ago".

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// An instant relative to `now`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    match at.as_second() - now.as_second() {
        0 => "now".to_owned(),
        seconds if seconds < 0 => format!("{} ago", duration(-seconds)),
        seconds => format!("in {}", duration(seconds)),
    }
}

/// A duration in seconds: two units while the second one matters.
pub fn duration(seconds: i64) -> String {
    let (large, small, unit, part) = match seconds {
        0..MINUTE => return format!("{seconds} s"),
        MINUTE..HOUR => (seconds / MINUTE, seconds % MINUTE, "min", "s"),
        HOUR..DAY => (seconds / HOUR, seconds % HOUR / MINUTE, "h", "min"),
        _ => (seconds / DAY, seconds % DAY / HOUR, "d", "h"),
    };
    if large < 10 && small > 0 {
        format!("{large} {unit} {small} {part}")
    } else {
        format!("{large} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_told_as_people_say_it() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let cases = [
            (0, "now"),
            (1, "in 1 s"),
            (59, "in 59 s"),
            (60, "in 1 min"),
            (119, "in 1 min 59 s"),
            (600, "in 10 min"),
            (659, "in 10 min"),
            (5 * HOUR, "in 5 h"),
            (5 * HOUR + 20 * MINUTE, "in 5 h 20 min"),
            (23 * HOUR + 59 * MINUTE, "in 23 h"),
            (2 * DAY + 3 * HOUR, "in 2 d 3 h"),
            (40 * DAY + 3 * HOUR, "in 40 d"),
            (-1, "1 s ago"),
            (-3 * MINUTE, "3 min ago"),
        ];
        for (seconds, expected) in cases {
            let at = Timestamp::from_second(now.as_second() + seconds).unwrap();
            assert_eq!(relative(at, now), expected);
        }
    }
}
