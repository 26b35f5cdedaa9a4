//! Changes of logins, and commands that ask for work.

use serde_json::json;

use crate::soak::schedule::{Fault, Step};
use crate::soak::world::{PUSHED, STORED, SYNCED_ONLY, World};
use crate::support::test_home::run_with_input;

const HELPER: &str = env!("CARGO_BIN_EXE_docker-credential-registry-agent");

pub(super) fn run(world: &World, step: &Step) {
    let _remembered = world.memory.read().unwrap();
    match step.fault {
        Fault::Push => push(world, step.choice),
        Fault::Store => {
            let (user, secret) = world.fresh_login(STORED);
            let server = &world.account(STORED).server;
            let login = json!({ "ServerURL": server, "Username": user, "Secret": secret });
            stored(world, "store", &login.to_string(), Some((user, secret)));
        }
        Fault::Erase => {
            let variable = |suffix| format!("{STORED}_CONTAINER_REGISTRY_{suffix}");
            let environment = world.environment();
            let [user, password] =
                ["USER", "PASSWORD"].map(|it| environment[&variable(it)].clone());
            stored(world, "erase", &world.account(STORED).server, Some((user, password)));
        }
        Fault::Refresh => {
            let _ = world.home.agent(&["refresh"]).envs(world.environment()).output().unwrap();
        }
        Fault::Check => {
            let name = world.accounts[step.choice % world.accounts.len()].name;
            let _ = world.home.agent(&["check", name]).envs(world.environment()).output().unwrap();
        }
        fault => panic!("{fault:?} changes no login"),
    }
}

/// A shell with other passwords, sometimes without one of the sets, calls `sync`.
fn push(world: &World, choice: usize) {
    let changed: Vec<_> = PUSHED
        .iter()
        .enumerate()
        .filter(|(index, _)| choice >> index & 1 == 1)
        .map(|(_, name)| world.account(name))
        .collect();
    for account in &changed {
        let leaves = account.name == SYNCED_ONLY && account.password().newest().is_some();
        let login = (!leaves).then(|| world.fresh_login(account.name));
        account.password().begin(login.clone());
        world.set_declared(account, login.as_ref());
    }
    let output = world.home.agent(&["sync"]).envs(world.environment()).output().unwrap();
    if output.status.success() {
        for account in changed {
            account.password().confirm();
        }
    }
}

fn stored(world: &World, verb: &str, input: &str, login: Option<(String, String)>) {
    let truth = world.account(STORED).password();
    truth.begin(login);
    let mut helper = world.home.command(HELPER);
    helper.arg(verb).envs(world.environment_of_helpers());
    if run_with_input(&mut helper, input).status.success() {
        truth.confirm();
    }
}
