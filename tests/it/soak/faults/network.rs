//! Faults of registries, AWS and the network between.

use std::process::Command;
use std::time::Duration;

use registry_agent::adapters::clock;

use crate::soak::registry::Mode;
use crate::soak::schedule::{Fault, Step};
use crate::soak::world::World;
use crate::soak::{hosts, names};
use crate::support::aws::Answer;
use crate::support::isolated;

pub(super) fn run(world: &World, step: &Step) {
    let registry = match step.fault {
        Fault::RegistryCut => Mode::Cut,
        Fault::RegistrySlow => Mode::Slow,
        Fault::RegistrySilent => Mode::Silent,
        Fault::RegistryErrors => Mode::Errors,
        Fault::RegistryLimitsRate => Mode::LimitsRate,
        Fault::RegistrySendsGarbage => Mode::Garbage,
        Fault::RegistryStopsHalfway => Mode::Halfway,
        _ => Mode::Up,
    };
    let aws = match step.fault {
        Fault::AwsErrors => Answer::Raw(503, "away"),
        Fault::AwsLimitsRate => Answer::Throttle { retry_after: 1 },
        Fault::AwsSilent => Answer::Hang,
        Fault::AwsSlow => Answer::Slow(Duration::from_millis(1500)),
        Fault::AwsSendsGarbage => Answer::Raw(200, "\u{15}\u{3}\u{3} this is not JSON"),
        _ => Answer::Grant,
    };
    // One registry in three faults, all in the others.
    let all = !step.choice.is_multiple_of(3);
    for (index, it) in world.registries.iter().enumerate() {
        if all || index == step.choice / 3 % world.registries.len() {
            it.set(registry);
        }
    }
    world.aws.answer("ecr", aws);
    match step.fault {
        Fault::NetworkDown => loopback("down"),
        Fault::NamesGone => isolated::write("hosts", ""),
        _ => {}
    }
    clock::pause(step.lasts);
    match step.fault {
        Fault::NetworkDown => loopback("up"),
        Fault::NamesGone => isolated::write("hosts", &hosts(&names())),
        _ => {}
    }
    world.registries.iter().for_each(|registry| registry.set(Mode::Up));
    world.aws.answer("ecr", Answer::Grant);
}

fn loopback(state: &str) {
    let status = Command::new("ip").args(["link", "set", "lo", state]).status().unwrap();
    assert!(status.success(), "ip link set lo {state}");
}
