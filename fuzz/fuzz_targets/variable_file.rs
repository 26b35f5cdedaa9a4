//! See `properties::variable_file`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../properties.rs"]
#[expect(dead_code, reason = "each target uses one property")]
mod properties;

fuzz_target!(|input: &[u8]| properties::variable_file(input));
