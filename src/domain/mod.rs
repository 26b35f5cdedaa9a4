//! What is true of registries and logins. Values in, values out: nothing here does I/O, waits, or
//! reads a clock, so each rule of the product can be tested by calling it.

pub mod client_files;
pub mod credentials;
pub mod declarations;
pub mod docker_config;
pub mod package_clients;
pub mod printable;
pub mod reasons;
pub mod registry_protocol;
pub mod servers;
pub mod spelling;
pub mod url_paths;
