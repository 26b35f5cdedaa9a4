//! The registry agent: what `ssh-agent` is to SSH keys, for container registries.
//!
//! The modules are floors. A file uses only the floors below its own:
//!
//! 1. [`domain`] – what is true of registries and logins; no I/O, no clock, no async.
//! 2. [`wire`] – the documents that travel over the socket and the helper's pipes.
//! 3. [`edge`] – files, network, AWS, processes, the clock.
//! 4. [`agent`] – the one owner of the logins, and its HTTP API.
//! 5. [`face`] – the commands people and docker type.

pub mod agent;
pub mod domain;
pub mod edge;
pub mod face;
pub mod wire;
