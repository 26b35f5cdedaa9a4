//! The product's tests on real parts. One crate, so that it links once; one module per subject.

mod registry_real;
mod registry_rules;
mod server_names;
mod support;
