//! Registry servers: their names, their kinds, and the images on them.

pub mod check_target;
pub mod image;
pub mod kind;
pub mod server;
