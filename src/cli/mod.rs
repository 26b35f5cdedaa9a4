//! The commands of `registry-agent`, one file each.

pub mod agent_process;
pub mod check;
pub mod command_line;
pub mod completions;
pub mod events;
pub mod exchange;
pub mod explain;
pub mod export;
pub mod inherited_fds;
pub mod launch;
pub mod logging;
pub mod output;
pub mod refresh;
pub mod run;
pub mod start;
pub mod status;
pub mod status_report;
pub mod stop;
mod supervision;
pub mod sync;
pub mod user;
pub mod wait;
