//! The programs and modules that the files of package clients name. They are in the state directory, not where
//! the agent is installed: a home may outlive the container, and pnpm and Python fail if they are missing.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::adapters::paths::Paths;
use crate::domain::client_files::keyringrc::MODULE_FILE;
use crate::domain::reasons::shell_word;

/// The name by which the helper is asked for the token of an npm registry.
const TOKEN_HELPER: &str = "npm-credential-registry-agent";

/// The longest name of a file on Linux.
const LONGEST_NAME: usize = 255;

/// Where the programs are, and the helper that they run.
#[derive(Debug)]
pub(super) struct Programs {
    directory: PathBuf,
    helper: PathBuf,
}

impl Programs {
    pub(super) fn new(paths: &Paths) -> Self {
        let this = std::env::current_exe().unwrap_or_default();
        let helper = this.with_file_name("docker-credential-registry-agent");
        Self { directory: paths.state_dir(), helper }
    }

    /// Whether `program` is one of pnpm's.
    pub(super) fn is_token_program(&self, program: &str) -> bool {
        Path::new(program).parent() == Some(&self.npm())
    }

    /// The program that pnpm runs for the token of the registry at `url`; `None` if pnpm cannot run it: pnpm 10
    /// passes the path to a shell and does not find a quoted one, and pnpm 12 refuses most characters.
    pub(super) fn token_program(&self, url: &str) -> Option<String> {
        let name = file_name(url);
        let path = self.npm().join(&name);
        let path = path.to_str()?;
        let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        (is_plain && name.len() <= LONGEST_NAME).then(|| path.to_owned())
    }

    /// Writes that program. Without a token pnpm goes on anonymously, but it stops if the program fails.
    pub(super) fn write_token_program(&self, program: &str, url: &str) -> io::Result<()> {
        create(&self.npm())?;
        let link = self.npm().join(TOKEN_HELPER);
        if fs::read_link(&link).ok().as_ref() != Some(&self.helper) {
            let new = link.with_extension("new");
            // An agent that was killed may have left it.
            let _ = fs::remove_file(&new);
            symlink(&self.helper, &new)?;
            fs::rename(&new, &link)?;
        }
        let (link, url) = (link.to_string_lossy(), shell_word(url));
        let script = format!(
            "#!/bin/sh\n# pnpm runs this for a token, and stops if it fails. registry-agent wrote it.\n\
             {} get {url} || exit 0\n",
            shell_word(&link),
        );
        put(Path::new(program), &script, 0o700)
    }

    /// The directory of the module with Python's backend; `None` if `keyringrc.cfg` cannot name it.
    pub(super) fn module_dir(&self) -> Option<String> {
        let directory = self.directory.join("python").to_str()?.to_owned();
        (!directory.contains(['\n', '\r'])).then_some(directory)
    }

    /// Writes that module.
    pub(super) fn write_module(&self) -> io::Result<()> {
        let directory = self.directory.join("python");
        create(&directory)?;
        // A JSON string is one of Python, too.
        let helper = serde_json::to_string(&self.helper.to_string_lossy())?;
        let module = include_str!("registry_agent_keyring.py").replace("@HELPER@", &helper);
        put(&directory.join(MODULE_FILE), &module, 0o600)
    }

    fn npm(&self) -> PathBuf {
        self.directory.join("npm")
    }
}

/// The URL as the name of a file, with `_` instead of the percent sign of an encoding.
fn file_name(url: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'.' | b'-' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("_{byte:02X}"),
    };
    url.bytes().map(encoded).collect()
}

fn create(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Replaces a file, unless it is as it should be.
fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let is_current = fs::read(path).is_ok_and(|old| old == text.as_bytes())
        && fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o777 == mode);
    if is_current {
        return Ok(());
    }
    let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
