//! Variables that are missing, misspelt, or hold more than the value.

use super::{Fault, PASSWORD, USER, assert_well, home_for, registry};

#[test]
fn each_missing_variable_is_named_and_setting_it_as_told_makes_the_login_work() {
    let registry = registry();
    let server = registry.server();
    for (suffix, value) in [("SERVER", &*server), ("USER", USER), ("PASSWORD", PASSWORD)] {
        let mut home = home_for(&registry);
        let variable = format!("ACME_CONTAINER_REGISTRY_{suffix}");
        home.unset(&variable);
        home.start();
        let fault = Fault::error(&home, "variable-missing");
        fault.says(&[&format!("{variable} is not set")]).checked(&home, &["ACME"], 1);
        home.set(&variable, value);
        fault.paste(&home);
        assert_well(&home, &server, (USER, PASSWORD));
    }
}

#[test]
fn a_second_set_for_a_server_is_named_and_unsetting_it_leaves_the_first() {
    let registry = registry();
    let server = registry.server();
    let mut home = home_for(&registry);
    home.declare("WORK", &server, ("other", "other-password"));
    home.sync();
    let fault = Fault::remark(&home, "server-declared-twice");
    fault.says(&["ACME", &server]).checked(&home, &[], 0);
    home.unset("WORK_CONTAINER_REGISTRY_SERVER");
    home.unset("WORK_CONTAINER_REGISTRY_USER");
    home.unset("WORK_CONTAINER_REGISTRY_PASSWORD");
    home.sync();
    assert_well(&home, &server, (USER, PASSWORD));
}
