//! Support for several test modules.

pub(crate) mod authority;
pub(crate) mod aws;
pub(crate) mod background_server;
pub(crate) mod booted;
pub(crate) mod canary;
pub(crate) mod codeartifact;
pub(crate) mod crate_registry;
pub(crate) mod engine;
pub(crate) mod git_server;
pub(crate) mod isolated;
pub(crate) mod machine;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod package_registry;
pub(crate) mod pod;
pub(crate) mod processes;
pub(crate) mod pypi_server;
pub(crate) mod registry;
pub(crate) mod scripted_registry;
pub(crate) mod sigv4;
pub(crate) mod terminal;
pub(crate) mod test_home;
pub(crate) mod test_workspace;
pub(crate) mod token_server;
pub(crate) mod unresponsive_mount;
pub(crate) mod verdaccio;
