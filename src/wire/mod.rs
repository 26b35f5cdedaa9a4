//! The documents that travel over the socket, pipes, and from one agent to the next.

pub mod api;
pub mod exchange;
pub mod exposed_secret;
pub mod handoff;
pub mod helper;
