//! Notes which logins `sync` declared, without anything secret, for an agent that starts after all
//! processes died: it has to say what is lost.
//!
//! The note is in the lock's directory, so it belongs to one container and ends with it.

use super::lock;
use super::paths::Paths;
use crate::domain::declarations::push::PushedLogin;

const NOTE: &str = "pushed";

/// The logins that were noted last.
pub fn read(paths: &Paths) -> Vec<PushedLogin> {
    let note = lock::read_note(paths, NOTE).unwrap_or_default();
    serde_json::from_slice(&note).unwrap_or_default()
}

/// Replaces the note.
pub fn write(paths: &Paths, logins: &[PushedLogin]) {
    if let Ok(note) = serde_json::to_vec(logins) {
        lock::write_note(paths, NOTE, &note);
    }
}

/// Removes the note, because a user stopped the agent.
pub fn forget(paths: &Paths) {
    lock::remove_note(paths, NOTE);
}
