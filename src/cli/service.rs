//! The command that starts an agent: a service is started by its manager.

use std::fs;
use std::path::{Path, PathBuf};

use crate::adapters::paths::Paths;

const UNIT: &str = "registry-agent.service";
/// What the administrator changed of systemd's units.
const SYSTEM: &str = "/etc/systemd/system";

/// The command for the user with these paths.
pub fn start_command(paths: &Paths, user: &str) -> &'static str {
    let is_enabled = |directory: &Path, target: &str| {
        fs::symlink_metadata(directory.join(target).join(UNIT)).is_ok()
    };
    let user_units = [paths.home.join(".config/systemd/user"), PathBuf::from("/etc/systemd/user")];
    if !fs::exists("/run/systemd/system").unwrap_or_default() {
        "registry-agent sync"
    } else if user_units.iter().any(|units| is_enabled(units, "default.target.wants")) {
        "systemctl --user start registry-agent"
    } else if is_enabled(Path::new(SYSTEM), "multi-user.target.wants") && unit_user() == user {
        "sudo systemctl start registry-agent"
    } else {
        "registry-agent sync"
    }
}

/// The user of the system unit.
fn unit_user() -> String {
    let unit = Path::new(SYSTEM).join(UNIT);
    let drop_ins = fs::read_dir(unit.with_extension("service.d")).into_iter().flatten().flatten();
    let mut drop_ins: Vec<_> = drop_ins.map(|entry| entry.path()).collect();
    drop_ins.sort();
    let texts = [unit].into_iter().chain(drop_ins).map(fs::read_to_string);
    last_user(texts.flatten())
}

/// The last `User=` counts; without one, or if it is empty, the service runs as root.
fn last_user(texts: impl Iterator<Item = String>) -> String {
    let users = texts.filter_map(|text| {
        let mut lines = text.lines().rev();
        lines.find_map(|line| line.trim().strip_prefix("User=").map(|user| user.trim().to_owned()))
    });
    users.last().filter(|user| !user.is_empty()).unwrap_or_else(|| "root".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_user_of_a_unit_and_its_drop_ins_counts() {
        for (texts, user) in [
            (&[][..], "root"),
            (&["[Service]\nUser=ci\nUMask=0077"], "ci"),
            (&["[Service]\nUser=ci", "[Service]\nRestart=no"], "ci"),
            (&["[Service]\nUser=ci", "[Service]\n User = x\nUser= a\nUser=dev"], "dev"),
            (&["[Service]\nUser=ci", "[Service]\nUser="], "root"),
        ] {
            assert_eq!(last_user(texts.iter().map(ToString::to_string)), user, "{texts:?}");
        }
    }
}
