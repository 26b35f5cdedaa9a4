//! When to refresh: functions of life, now, jitter and failures.
