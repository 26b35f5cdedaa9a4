//! The product's tests on real parts. One crate, so that it links once; one module per subject.

mod clients;
mod devcontainer;
mod docker_config_edit;
mod docker_config_file;
mod registry_hostile;
mod registry_hosts;
mod registry_reach;
mod registry_real;
mod registry_rights;
mod registry_rules;
mod server_names;
mod sources;
mod support;
