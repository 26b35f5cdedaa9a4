//! What is true of registries and logins. Values in, values out: nothing here does I/O, waits, or
//! reads a clock, so each rule of the product can be tested by calling it.

pub mod credential;
pub mod declaration;
pub mod difference;
pub mod discovery;
pub mod docker_config;
pub mod ecr_token;
pub mod exchange;
pub mod export;
pub mod kind;
pub mod layers;
pub mod life;
pub mod login;
pub mod problem;
pub mod reason;
pub mod schedule;
pub mod secret;
pub mod server;
pub mod source;
pub mod source_file;
pub mod variable;
pub mod verdict;
