//! What people and docker type.

pub mod checkup;
pub mod cli;
pub mod helper;
pub mod output;
pub mod process;
pub mod push;
pub mod start;
pub mod status;
pub mod stop;
pub mod wait;
