//! `registry-agent run` as a service of systemd.

mod credentials;
mod messages;
mod orphans;
