//! Package clients: what a registry may hold for them, and the environment of those that cannot run a
//! helper.

pub mod client_login;
pub mod environment;
pub mod format;
