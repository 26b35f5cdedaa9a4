//! Exchanges with AWS: the real SDK, against a fake AWS, a proxy and moto.

mod endpoints;
mod failures;
mod moto;
mod probe;
mod tokens;
