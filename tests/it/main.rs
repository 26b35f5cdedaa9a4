//! The product's tests on real parts. One crate, so that it links once; one module per subject.

mod aws;
mod clients;
mod devcontainer;
mod docker_config_documents;
mod docker_config_edit;
mod docker_config_file;
mod docker_config_race;
mod ecr_agent;
mod helper_protocol;
mod logins;
mod registry_real;
mod registry_rules;
mod server_names;
mod sources;
mod support;
mod survival;
