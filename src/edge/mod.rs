//! Where the program meets the world: files, network, AWS, processes, the clock.

pub mod http;
pub mod registry;
