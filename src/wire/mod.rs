//! The documents that travel over the socket, the helper's pipes, and from one agent to the next.

pub mod api;
pub mod exposed_secret;
pub mod handoff;
pub mod helper;
