//! Serialized documents: for the socket, for pipes, and from one agent to the next.

pub mod api;
pub mod exchange;
pub mod exposed_secret;
pub mod handoff;
pub mod helper;
pub mod kubelet;
pub mod package_credential;
