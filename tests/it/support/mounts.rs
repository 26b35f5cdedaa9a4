//! Private file systems for one test, visible only to the calling thread and the processes it starts.
//! Requires root.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::test_home::succeed;

/// A mounted file system, unmounted on drop.
pub(crate) struct Mounted(PathBuf);

/// A mounted ext4 that can be frozen, so that writers block in the kernel. It is thawed and unmounted
/// on drop.
pub(crate) struct Freezable {
    mounted: Mounted,
}

impl Mounted {
    /// A file system in memory at `directory`, of `size` as in tmpfs(5).
    pub(crate) fn tmpfs(directory: &Path, size: &str) -> Self {
        private_mounts();
        std::fs::create_dir_all(directory).unwrap();
        let options = format!("size={size}");
        let (flags, kind) = (MsFlags::empty(), Some("tmpfs"));
        mount(Some("none"), directory, kind, flags, Some(&*options)).unwrap();
        Self(directory.to_owned())
    }

    /// The file `source` in place of the file `target`, also for processes that run already.
    pub(crate) fn bind(source: &Path, target: &Path) -> Self {
        let none = None::<&str>;
        mount(Some(source), target, none, MsFlags::MS_BIND, none).unwrap();
        Self(target.to_owned())
    }

    /// Fills the file system; removing the returned file frees the space.
    pub(crate) fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let zeros = vec![0; 1 << 20];
        let mut file = std::fs::File::create(&filler).unwrap();
        // First in whole blocks, then the rest of the last one.
        for length in [1 << 20, 1 << 12, 1] {
            while std::io::Write::write(&mut file, &zeros[..length]).is_ok() {}
        }
        filler
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A process may still have its working directory in it.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

impl Freezable {
    /// An empty file system at `directory`, stored in a file next to it.
    pub(crate) fn ext4(directory: &Path) -> Self {
        private_mounts();
        std::fs::create_dir_all(directory).unwrap();
        let image = directory.with_extension("image");
        std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        succeed(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        succeed(Command::new("mount").args(["-o", "loop"]).args([&*image, directory]));
        Self { mounted: Mounted(directory.to_owned()) }
    }

    pub(crate) fn freeze(&self) {
        succeed(Command::new("fsfreeze").arg("--freeze").arg(&self.mounted.0));
    }

    pub(crate) fn thaw(&self) {
        succeed(Command::new("fsfreeze").arg("--unfreeze").arg(&self.mounted.0));
    }
}

impl Drop for Freezable {
    fn drop(&mut self) {
        // This fails if it is not frozen any more.
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(&self.mounted.0).output();
    }
}

fn private_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace, for which these tests need root");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
}
