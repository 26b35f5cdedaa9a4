//! Adapters to everything outside the program: files, users, sockets, processes, registries, AWS,
//! the clock.

pub mod agent_client;
pub mod aws;
pub mod client_files;
pub mod client_obstacles;
pub mod clock;
pub mod config;
pub mod docker_config;
mod docker_daemon;
pub mod endpoint;
pub mod file_watcher;
pub mod handoff;
pub mod http;
pub mod limited_command;
pub mod lock;
pub mod open_files;
pub mod own_thread;
pub mod ownership;
pub mod package_client_setup;
pub mod package_registry;
pub mod passwd;
pub mod paths;
pub mod permissions;
pub mod process;
pub mod pushed_record;
pub mod registry;
pub mod regular_file;
pub mod socket;
pub mod source_files;
mod state_file;
pub mod stored_logins;
pub mod takeover;
pub mod user_file;
pub mod user_namespace;
