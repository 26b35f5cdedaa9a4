//! Where the product meets the world: files, users, sockets, processes, registries, AWS, the clock.

pub mod aws;
pub mod client;
pub mod clients;
pub mod clock;
pub mod config;
pub mod docker_config;
pub mod http;
pub mod lock;
pub mod memory;
pub mod passwd;
pub mod paths;
pub mod registry;
pub mod socket;
pub mod sources;
pub mod stored;
pub mod sys;
pub mod watch;
