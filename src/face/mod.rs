//! What people and docker type.

pub mod check;
pub mod cli;
pub mod events;
pub mod export;
pub mod helper;
pub mod output;
pub mod process;
pub mod start;
pub mod status;
pub mod stop;
pub mod sync;
pub mod wait;
