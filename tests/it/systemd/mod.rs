//! `registry-agent run` as a service of systemd.

mod booted;
mod credentials;
mod messages;
mod orphans;
