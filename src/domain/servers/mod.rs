//! Registry servers: their names, their kinds, and the images on them.

mod authority;
pub mod check_target;
pub mod ecr_typo;
pub mod image;
pub mod kind;
pub mod mistyped;
pub mod nearest_package;
pub mod package_kind;
pub mod package_server;
pub mod registry_server;
pub mod server;
pub mod userinfo;
pub mod web_sites;
