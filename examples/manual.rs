//! Writes the manual pages and the shell completions, as `make release` does:
//!
//!     cargo run --example manual -- DIRECTORY
//!
//! The directory gets the layout of `/usr/local/share`.

#![allow(missing_docs, reason = "an example")]

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use clap_complete::Shell;
use registry_agent::cli::command_line;

/// What clients run has no command line that a page could be made from.
const HELPER_PAGES: [(&str, &str); 2] = [
    ("docker-credential-registry-agent.1", include_str!("docker-credential-registry-agent.1")),
    ("registry-agent-credential-provider.1", include_str!("registry-agent-credential-provider.1")),
];

fn main() -> io::Result<()> {
    let directory = env::args_os().nth(1).map(PathBuf::from);
    write(&directory.ok_or_else(|| io::Error::other("name the directory to write to"))?)
}

/// Writes everything below `share`.
pub(crate) fn write(share: &Path) -> io::Result<()> {
    let pages = share.join("man/man1");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(command_line::command(), &pages)?;
    for (name, page) in HELPER_PAGES {
        fs::write(pages.join(name), page.replacen("VERSION", env!("CARGO_PKG_VERSION"), 1))?;
    }
    for (shell, directory, name) in [
        (Shell::Bash, "bash-completion/completions", "registry-agent"),
        (Shell::Zsh, "zsh/site-functions", "_registry-agent"),
        (Shell::Fish, "fish/vendor_completions.d", "registry-agent.fish"),
    ] {
        let directory = share.join(directory);
        fs::create_dir_all(&directory)?;
        let mut script = fs::File::create(directory.join(name))?;
        clap_complete::generate(shell, &mut command_line::command(), "registry-agent", &mut script);
    }
    Ok(())
}
