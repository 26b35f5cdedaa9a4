//! Finds the process that has a file open for writing.

use std::fs;
use std::path::Path;

use nix::libc;

use crate::domain::reasons::Writer;

/// A process that has the file at `path` open for writing; `None` if it belongs to another user.
pub fn writer_of(path: &Path) -> Option<Writer> {
    let path = fs::canonicalize(path).ok()?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| writes(*pid, &path)).find_map(|pid| {
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some(Writer { pid, program: program.trim().into() })
    })
}

fn writes(pid: i32, path: &Path) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path)).any(
        |entry| {
            let number = entry.file_name();
            let info = format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy());
            is_writable(&fs::read_to_string(info).unwrap_or_default()).unwrap_or_default()
        },
    )
}

/// Reads the flags of an open file from its `fdinfo` (`proc_pid_fdinfo(5)`).
fn is_writable(info: &str) -> Option<bool> {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = libc::c_int::from_str_radix(flags.trim(), 8).ok()?;
    Some(flags & libc::O_ACCMODE != libc::O_RDONLY)
}
