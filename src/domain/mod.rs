//! What is true of registries and logins. Values in, values out: nothing here does I/O, waits, or
//! reads a clock, so each rule of the product can be tested by calling it.

pub mod answer;
pub mod challenge;
pub mod credential;
pub mod declaration;
pub mod difference;
pub mod discovery;
pub mod docker_config;
pub mod ecr_token;
pub mod exchange;
pub mod export;
pub mod image;
pub mod kind;
pub mod layers;
pub mod life;
pub mod login;
pub mod precheck;
pub mod problem;
pub mod realm;
pub mod reason;
pub mod rights;
pub mod schedule;
pub mod secret;
pub mod server;
pub mod source;
pub mod source_file;
pub mod token_life;
pub mod variable;
pub mod verdict;
