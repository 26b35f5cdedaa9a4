//! Replaces an agent of another version, so that an upgrade needs no restart by hand.

use super::launch::{START_TIMEOUT, supervise_in_background};
use super::output::{ask_status, print_note};
use super::supervision::{MayReplace, take_place};
use crate::adapters::paths::Paths;
use crate::adapters::{handoff, lock, process};

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Takes over the running agent if it is of another version. The new one knows everything that the
/// old one knew. Returns whether an agent was replaced.
pub(super) fn replace_other_version(paths: &Paths) -> anyhow::Result<bool> {
    let version = ask_status(paths)?.version;
    if version == VERSION {
        return Ok(false);
    }
    if lock::supervisor(paths).is_some_and(lock::is_service) {
        print_note(&format!(
            "the service's agent is version {version}, but this program is version {VERSION}; to replace it, restart the service, for example with `systemctl restart registry-agent`"
        ));
        return Ok(false);
    }
    // From here on this process holds the state as well.
    process::harden()?;
    let nothing = handoff::create(b"")?;
    let taken = take_place(paths, &nothing, MayReplace::AllButServices, || Ok(false))?;
    let Some(inherited) = taken else { return Ok(false) };
    supervise_in_background(paths, inherited, START_TIMEOUT)?;
    Ok(true)
}
