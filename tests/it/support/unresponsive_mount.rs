//! A FUSE file system whose server never responds, like a network file system that is down.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// The mount. Any access to it blocks until this is dropped, which unmounts it.
pub(crate) struct UnresponsiveMount {
    path: PathBuf,
    _server: File,
}

impl UnresponsiveMount {
    /// Mounts it on the directory `path`.
    pub(crate) fn new(path: &Path) -> Self {
        let server = OpenOptions::new().read(true).write(true).open("/dev/fuse").unwrap();
        let options =
            format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", server.as_raw_fd());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("unresponsive"), path, Some("fuse"), flags, Some(options.as_str())).unwrap();
        Self { path: path.to_owned(), _server: server }
    }
}

impl Drop for UnresponsiveMount {
    fn drop(&mut self) {
        // The server's descriptor is closed next, which fails all pending requests.
        umount2(&self.path, MntFlags::MNT_DETACH).unwrap();
    }
}
