//! The agent: one owner of the logins, the API its clients ask, and the supervisor that keeps it
//! alive.

pub mod supervisor;
