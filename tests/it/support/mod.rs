//! What several modules of tests need.

pub(crate) mod authority;
pub(crate) mod aws;
pub(crate) mod desk;
pub(crate) mod engine;
pub(crate) mod isolated;
pub(crate) mod processes;
pub(crate) mod registry;
pub(crate) mod scripted;
pub(crate) mod sigv4;
pub(crate) mod token_server;
pub(crate) mod workspace;
