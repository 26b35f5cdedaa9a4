//! The registry agent: what `ssh-agent` is to SSH keys, for container registries.
//!
//! A module imports only from modules above it in this list:
//!
//! 1. [`domain`] – the rules of registries, credentials and logins; no I/O, no clock, no async.
//! 2. [`wire`] – the documents that travel over the socket, the helper's pipes, and between processes.
//! 3. [`adapters`] – files, network, AWS, processes, the clock.
//! 4. [`agent`] – the controller that owns the logins, its HTTP API, its supervisor.
//! 5. [`cli`] – the commands of `registry-agent`; [`helper`] – the docker credential helper.

pub mod adapters;
pub mod agent;
pub mod cli;
pub mod domain;
pub mod helper;
pub mod wire;
