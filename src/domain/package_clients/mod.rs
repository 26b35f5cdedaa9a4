//! Package clients: what a registry may hold for them, what they need to ask the agent, and the environment
//! of those that cannot run a helper.

pub mod client_login;
pub mod environment;
pub mod format;
pub mod setup;
