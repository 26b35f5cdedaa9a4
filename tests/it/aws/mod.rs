//! The exchange with AWS, by the real SDK against a stand-in of ours, a proxy, and moto.

mod endpoints;
mod failures;
mod moto;
mod probe;
mod tokens;
