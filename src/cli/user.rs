//! The user that the agent runs as.

use anyhow::Context;

use crate::adapters::paths::Paths;
use crate::adapters::{config, passwd, process, socket, user_namespace};

/// Switches to the configured user, if root starts the agent for one.
pub(super) fn become_configured_user() -> anyhow::Result<Paths> {
    let paths = Paths::of_this_process();
    if !user_namespace::is_root() {
        return Ok(paths);
    }
    let Some(name) = config::user(&paths.config_files()) else { return Ok(paths) };
    let user = passwd::by_name(&name)?
        .with_context(|| format!("the configuration names the user {name}, who does not exist"))?;
    if user.uid == 0 {
        return Ok(paths);
    }
    socket::prepare_system_dir(&user)
        .with_context(|| format!("the socket directory for {name} cannot be created"))?;
    process::become_user(&user)
        .with_context(|| format!("this process is not allowed to switch to the user {name}"))?;
    Ok(Paths::of_user(&user))
}
