//! Credentials and logins: how long they live and when they are refreshed.

pub mod authorization;
pub mod credential;
pub mod ecr_token;
pub mod exchange;
pub mod lifetime;
pub mod login;
mod login_remarks;
pub mod precheck;
pub mod refresh_schedule;
pub mod replaced;
pub mod secret;
pub mod secret_json;
pub mod stated_expiry;
