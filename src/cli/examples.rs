//! Examples in the help texts. A test pastes each line into a shell.

/// `start`
pub const START: &str = "Examples:\n  registry-agent start";
/// `run`
pub const RUN: &str =
    "Examples:\n  registry-agent run\n  REGISTRY_AGENT_LOG=debug registry-agent run";
/// `stop`
pub const STOP: &str = "Examples:\n  registry-agent stop";
/// `sync`
pub const SYNC: &str = "Examples:\n  registry-agent sync\n  registry-agent sync --wait 10s";
/// `status`
pub const STATUS: &str =
    "Examples:\n  registry-agent status\n  registry-agent status --json | jq '.registries[].state'";
/// `wait`
pub const WAIT: &str = "Examples:\n  registry-agent wait\n  registry-agent wait ACME --timeout 5m";
/// `refresh`
pub const REFRESH: &str = "Examples:\n  registry-agent refresh\n  registry-agent refresh ACME";
/// `check`
pub const CHECK: &str = "Examples:\n  registry-agent check\n  registry-agent check ACME";
/// `events`
pub const EVENTS: &str =
    "Examples:\n  registry-agent events\n  registry-agent events --json | jq -r .detail";
/// `export`
pub const EXPORT: &str = "Examples:\n  registry-agent export docker-config > config.json\n  registry-agent export kubernetes-secret ACME > secret.yaml";
/// `exec`
pub const EXEC: &str =
    "Examples:\n  registry-agent exec -- npm ci\n  registry-agent exec ACME -- bundle install";
/// `reset`
pub const RESET: &str = "Examples:\n  registry-agent reset";
/// `completions`
pub const COMPLETIONS: &str = "Examples:\n  registry-agent completions bash > registry-agent.bash";
/// `explain`
pub const EXPLAIN: &str = "Examples:\n  registry-agent explain\n  registry-agent explain refused";
/// `metrics`
pub const METRICS: &str =
    "Examples:\n  registry-agent metrics\n  registry-agent metrics --textfile registry-agent.prom";
