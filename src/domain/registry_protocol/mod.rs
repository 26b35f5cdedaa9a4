//! Interprets registry responses: challenges, realms, verdicts, image access.

pub mod challenge;
pub mod image_access;
pub mod package_verdict;
pub mod realm;
pub mod response;
pub mod token_reply;
pub mod verdict;
