//! The command line of `registry-agent`.

use std::io;
use std::os::fd::RawFd;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use super::inherited_fds::InheritedFds;
use super::output::Failed;
use super::{
    agent_process, check, completions, events, exchange, export, refresh, run, start, status, stop,
    sync, wait,
};

/// Logs in to every declared container registry and keeps the logins alive.
#[derive(Debug, Parser)]
#[command(name = "registry-agent", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Make sure an agent runs in the background
    Start {
        /// Not if somebody stopped it: the helper's way to start one
        #[arg(long, hide = true)]
        unless_stopped: bool,
    },
    /// Run in the foreground, for systemd, supervisord, s6 and containers
    Run,
    /// Stop the agent until `start` or `sync`
    Stop,
    /// Hand the registries declared in this environment to the agent
    Sync {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show every login and every problem
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print again whenever something changes
        #[arg(long)]
        watch: bool,
    },
    /// Wait until these logins, or all, are settled
    Wait {
        /// Names of declarations
        names: Vec<String>,
        /// How long to wait, such as 90s or 5m
        #[arg(long, default_value = "60s", value_parser = duration)]
        timeout: Duration,
    },
    /// Exchange and verify again, now
    Refresh {
        /// Names or servers; all without any
        names: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Walk the way from variable to client and name the first thing that is broken
    Check {
        /// A name, a server or an image; every login without one
        what: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what happened, newest last
    Events {
        /// Go on with what happens
        #[arg(long)]
        follow: bool,
        /// Print JSON, one document a line
        #[arg(long)]
        json: bool,
    },
    /// Print plain logins, for clients that cannot run a helper
    Export {
        /// What to print
        format: export::ExportFormat,
        /// Names or servers; all without any
        names: Vec<String>,
    },
    /// Print a completion script
    Completions {
        /// For this shell
        shell: Shell,
    },
    #[command(hide = true)]
    Supervise {
        #[command(flatten)]
        fds: InheritedFds,
        #[arg(long)]
        report: Option<RawFd>,
    },
    #[command(hide = true)]
    Agent {
        #[command(flatten)]
        fds: InheritedFds,
        #[arg(long)]
        control: RawFd,
        #[arg(long)]
        foreground: bool,
    },
    #[command(hide = true)]
    Exchange,
}

/// Does what the command line says. Wrong usage exits 2, a failure 1.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        CliCommand::Start { unless_stopped } => start::start(unless_stopped),
        CliCommand::Run => run::run(),
        CliCommand::Stop => stop::stop(),
        CliCommand::Sync { json } => sync::sync(json),
        CliCommand::Status { json, watch } => status::status(json, watch),
        CliCommand::Wait { names, timeout } => wait::wait(&names, timeout),
        CliCommand::Refresh { names, json } => refresh::refresh(&names, json),
        CliCommand::Check { what, json } => check::check(what.as_deref(), json),
        CliCommand::Events { follow, json } => events::events(follow, json),
        CliCommand::Export { format, names } => export::export(format, &names),
        CliCommand::Completions { shell } => completions::completions(shell, &mut Cli::command()),
        CliCommand::Supervise { fds, report } => agent_process::supervise(fds, report),
        CliCommand::Agent { fds, control, foreground } => {
            agent_process::agent(fds, control, foreground)
        }
        CliCommand::Exchange => exchange::exchange(),
    };
    done.unwrap_or_else(|error| print_error(&error))
}

/// Prints why a command failed.
#[expect(clippy::print_stderr, reason = "commands report errors here")]
pub fn print_error(error: &anyhow::Error) -> ExitCode {
    if let Some(Failed(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    // A reader of our output that has gone away is no failure.
    let gone = error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    });
    if !gone {
        eprintln!("registry-agent: {error:#}");
    }
    ExitCode::FAILURE
}

/// A number with `ms`, `s`, `m` or `h`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("use a number with s, m or h, such as 90s".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| "use a number with s, m or h".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        for wrong in ["", "s", "5 weeks", "-1s", "1d"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
