//! The user that the agent runs as.

use anyhow::Context;
use nix::unistd::Uid;

use crate::adapters::config::{self, Config};
use crate::adapters::paths::Paths;
use crate::adapters::{passwd, process, socket};

/// Becomes the configured user, when started by root for one.
pub(super) fn become_configured_user() -> anyhow::Result<(Paths, Config)> {
    let paths = Paths::of_this_process();
    let config = config::load(&paths.config_files())?;
    let Some(name) = config.user.as_deref().filter(|_| Uid::effective().is_root()) else {
        return Ok((paths, config));
    };
    let user = passwd::by_name(name)?
        .with_context(|| format!("the user {name} in the configuration does not exist"))?;
    if user.uid == 0 {
        return Ok((paths, config));
    }
    socket::prepare_system_dir(&user)
        .with_context(|| format!("the socket directory for {name} cannot be created"))?;
    process::become_user(&user)
        .with_context(|| format!("this process cannot become the user {name}"))?;
    let paths = Paths::of_user(&user);
    let config = config::load(&paths.config_files())?;
    Ok((paths, config))
}
