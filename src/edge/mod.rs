//! Files, network, AWS, processes, the clock: where the product meets the machine.

pub mod clock;
