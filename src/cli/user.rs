//! The user that the agent runs as.

use std::{env, io};

use anyhow::{Context, anyhow};

use crate::adapters::passwd::User;
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
    switch_to(&user).map_err(|error| named_setting(error, &name))?;
    Ok(Paths::of_user(&user))
}

fn switch_to(user: &User) -> anyhow::Result<()> {
    let name = &user.name;
    socket::prepare_system_dir(user)
        .with_context(|| format!("the socket directory for {name} cannot be created"))?;
    process::become_user(user)
        .with_context(|| format!("this process is not allowed to switch to the user {name}"))
}

/// Names the setting of systemd that replaces `user` of the configuration: the unit takes away the
/// right to change the user.
fn named_setting(error: anyhow::Error, name: &str) -> anyhow::Error {
    let is_service = env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty());
    let is_refused = error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::PermissionDenied)
    });
    if !is_service || !is_refused {
        return error;
    }
    anyhow!(
        "{error:#}; run `sudo systemctl edit registry-agent`, add the lines `[Service]` and `User={name}`, \
         then run `sudo systemctl restart registry-agent`"
    )
}
