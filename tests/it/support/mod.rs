//! What several modules of tests need.

pub(crate) mod desk;
pub(crate) mod engine;
pub(crate) mod registry;
pub(crate) mod workspace;
