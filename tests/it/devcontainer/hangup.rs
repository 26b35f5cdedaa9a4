//! The hook under a terminal that hangs up while it runs.

use serde_json::json;

use super::{CANARY, PASSWORD, config, get, owner_of_the_agent, private_registry};
use crate::support::engine::DEBIAN;
use crate::support::test_workspace::TestWorkspace;

#[test]
#[ignore = "needs the docker engine that `make test` provides"]
fn a_terminal_that_hangs_up_while_the_hook_runs_loses_neither_the_agent_nor_the_password() {
    let registry = private_registry();
    let mut test_workspace = TestWorkspace::new(config(&registry, json!({"image": DEBIAN})));
    test_workspace.up(&json!({}));
    // `script` runs the hook on a terminal of its own, which is gone when `script` is killed.
    for moment in ["grep -qszx sync /proc/[0-9]*/cmdline", "registry-agent status"] {
        let hang_up = format!(
            "registry-agent stop && export {PASSWORD}='{CANARY}'\n\
             script -qc /usr/local/share/registry-agent/hook /dev/null > /dev/null 2>&1 &\n\
             until {moment} > /dev/null; do kill -0 $!; done\n\
             kill -9 $!"
        );
        test_workspace.stdout("dev", &format!("set -e; {hang_up}"));
        let served = format!("{} | grep -qF '{CANARY}'", get(&registry));
        test_workspace.eventually("dev", &served);
        assert_eq!(owner_of_the_agent(&test_workspace, "dev"), "dev");
    }
}
