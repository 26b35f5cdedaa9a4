//! The integration tests. They are one crate, so that it is linked once, with one module per subject.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod api;
mod architecture;
mod aws;
mod check;
mod clients;
mod configuration;
mod devcontainer;
mod docker_config_documents;
mod docker_config_edit;
mod docker_config_file;
mod docker_config_hangs;
mod docker_config_race;
mod docker_config_reading;
mod ecr_agent;
mod environment;
mod exit_status;
mod faults;
mod helper_notices;
mod helper_protocol;
mod log;
mod login_changes;
mod logins;
mod manual;
mod registry_hostile;
mod registry_hosts;
mod registry_image_access;
mod registry_reach;
mod registry_real;
mod registry_rules;
mod secrets;
mod sequence;
mod server_names;
mod services;
mod set_clock;
mod sockets;
mod sources;
mod stopping;
mod stored_logins;
mod support;
mod survival;
mod terminal;
mod transcripts;
mod troubleshooting;
mod web_login;
