//! The command line of `registry-agent`.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use jiff::SignedDuration;

use super::absence::explained;
use super::examples;
use super::inherited_fds::InheritedFds;
use super::output::Failed;
use super::{
    agent_process, check, completions, events, exchange, exec, explain, export, metrics, refresh,
    reset, run, start, status, stop, sync, wait,
};
use crate::adapters::paths::Paths;
use crate::adapters::process::{self, THIS_PROGRAM};
use crate::domain::declarations::variable;
use crate::domain::printable::printable;
use crate::domain::reasons::shell_word;
use crate::domain::servers::userinfo::without_userinfo;

const LONG_RESET: &str = "Stop the agent and remove all that it wrote, for example before it is uninstalled: its entries in the \
docker configuration, the logins that `docker login` stored, and its log. The configuration stays.";
const LONG_EXEC: &str = "Run a command with the logins of package registries in its environment, for clients that cannot run a helper: npm, bun, \
yarn 1, Bundler, Composer, Maven, Gradle, Dart and NuGet. Nothing is written to a disk. The command takes the place of this process.";
const EXEC_NOTES: &str = "Exit status: that of COMMAND; 125 if a NAME has no login, 126 if COMMAND cannot be run, 127 if it is not found.";
const SOCKET_OPTION: &str = "--socket";

/// Logs in to declared container registries and gives the logins to docker and other clients
#[derive(Debug, Parser)]
#[command(name = "registry-agent", version, about, max_term_width = 100)]
struct Cli {
    /// Socket of the agent; the same as the variable `REGISTRY_AGENT_SOCKET`
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Start an agent in the background unless one is running
    #[command(after_help = examples::START)]
    Start {
        /// Do nothing if the agent was stopped with `stop`
        #[arg(long, hide = true)]
        unless_stopped: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run in the foreground, for systemd, supervisord, s6 and containers
    #[command(after_help = examples::RUN)]
    Run {
        #[command(flatten)]
        start: run::StartState,
    },
    /// Stop the agent; it stays stopped until `start` or `sync`
    #[command(after_help = examples::STOP)]
    Stop {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send the registries declared in this environment to the agent
    #[command(after_help = examples::SYNC)]
    Sync {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// How long to wait for the registries' verdicts, such as 10s; default: 5s on a terminal, else not at all
        #[arg(long, value_name = "TIME", value_parser = duration)]
        wait: Option<Duration>,
    },
    /// Show all logins and problems
    #[command(after_help = examples::STATUS)]
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Follow changes: on a terminal in place, else print again after each change
        #[arg(long)]
        watch: bool,
    },
    /// Wait until no login is pending
    #[command(after_help = examples::WAIT)]
    Wait {
        /// Names or servers; default: all
        #[arg(value_parser = named)]
        names: Vec<String>,
        /// How long to wait, such as 90s or 5m
        #[arg(long, default_value = "60s", value_parser = duration)]
        timeout: Duration,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Renew and verify logins now
    #[command(after_help = examples::REFRESH)]
    Refresh {
        /// Names or servers; default: all
        #[arg(value_parser = named)]
        names: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check a login step by step, from its variables to the client, and show the first failure
    #[command(after_help = examples::CHECK)]
    Check {
        /// Name, server or image; default: all logins
        #[arg(value_parser = named)]
        what: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show events, newest last
    #[command(after_help = examples::EVENTS)]
    Events {
        /// Follow new events
        #[arg(long)]
        follow: bool,
        /// Print one JSON document per line
        #[arg(long)]
        json: bool,
    },
    /// Print logins in plain text, for clients that cannot run a credential helper
    #[command(after_help = examples::EXPORT)]
    Export {
        /// Output format
        format: export::ExportFormat,
        /// Names or servers; default: all
        #[arg(value_parser = named)]
        names: Vec<String>,
    },
    /// Run a command with the logins of package registries in its environment
    #[command(long_about = LONG_EXEC, after_help = examples::EXEC, after_long_help = exec_help())]
    Exec {
        /// Names or servers; default: all package registries
        #[arg(value_parser = named)]
        names: Vec<String>,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Stop the agent and remove all that it wrote, for example before it is uninstalled
    #[command(long_about = LONG_RESET, after_help = examples::RESET)]
    Reset {
        /// Do it for every user of this machine; only for root
        #[arg(long)]
        all_users: bool,
        /// The user that root does it for
        #[arg(long, hide = true, conflicts_with = "all_users")]
        user: Option<String>,
    },
    /// Print the metrics of `GET /metrics`, for Prometheus
    #[command(after_help = examples::METRICS)]
    Metrics {
        /// Write them to this file instead, for the textfile collector of node exporter
        #[arg(long, value_name = "PATH")]
        textfile: Option<PathBuf>,
    },
    /// Print a shell completion script
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Explain a reason shown by `status` and how to fix it
    #[command(after_help = examples::EXPLAIN)]
    Explain {
        /// Code of the reason; default: list all codes
        #[arg(value_parser = named)]
        code: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    #[command(hide = true)]
    Supervise {
        #[command(flatten)]
        fds: InheritedFds,
        #[arg(long)]
        foreground: bool,
        #[arg(long)]
        report: Option<RawFd>,
        /// The agent of the supervisor that died
        #[arg(long, requires = "control")]
        agent: Option<i32>,
        #[arg(long)]
        control: Option<RawFd>,
    },
    #[command(hide = true)]
    Agent {
        #[command(flatten)]
        fds: InheritedFds,
        #[arg(long)]
        control: RawFd,
        #[arg(long)]
        foreground: bool,
        #[command(flatten)]
        start: agent_process::AgentStart,
    },
    #[command(hide = true)]
    Exchange,
}

/// Runs the command. Exits with 2 on wrong usage, with 1 on failure.
pub fn run() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| without_passwords(error).exit());
    if let Some(socket) = cli.socket {
        return print_error(&with_socket(&socket, env::args_os().collect()));
    }
    // The command that `exec` runs may need the descriptors that it inherits, such as those of `make -j`.
    if !matches!(cli.command, CliCommand::Exec { .. })
        && let Err(error) = process::adopt_inherited()
    {
        return print_error(&error.into());
    }
    let done = match cli.command {
        CliCommand::Start { unless_stopped, json } => start::start(unless_stopped, json),
        CliCommand::Run { start } => run::run(start),
        CliCommand::Stop { json } => stop::stop(json),
        CliCommand::Sync { json, wait } => sync::sync(json, wait),
        CliCommand::Status { json, watch } => status::status(json, watch),
        CliCommand::Wait { names, timeout, json } => wait::wait(&names, timeout, json),
        CliCommand::Refresh { names, json } => refresh::refresh(&names, json),
        CliCommand::Check { what, json } => check::check(what.as_deref(), json),
        CliCommand::Reset { all_users, user } => reset::reset(all_users, user.as_deref()),
        CliCommand::Events { follow, json } => events::events(follow, json),
        CliCommand::Export { format, names } => export::export(format, &names),
        CliCommand::Exec { names, command } => exec::exec(&names, &command),
        CliCommand::Metrics { textfile } => metrics::metrics(textfile.as_deref()),
        CliCommand::Completions { shell } => completions::completions(shell, &mut Cli::command()),
        CliCommand::Explain { code, json } => explain::explain(code.as_deref(), json),
        CliCommand::Supervise { fds, foreground, report, agent, control } => {
            agent_process::supervise(fds, foreground, report, agent.zip(control))
        }
        CliCommand::Agent { fds, control, foreground, start } => {
            agent_process::agent(fds, control, foreground, start)
        }
        CliCommand::Exchange => exchange::exchange(),
    };
    done.unwrap_or_else(|error| print_error(&error))
}

/// The error of a wrong command line. It quotes arguments, which may contain passwords.
fn without_passwords(error: clap::Error) -> clap::Error {
    let arguments = env::args_os();
    let shown: Vec<String> =
        arguments.map(|it| without_userinfo(&it.to_string_lossy()).into_owned()).collect();
    without_separator(error.kind(), &shown)
        .or_else(|| Cli::try_parse_from(shown).err())
        .unwrap_or(error)
}

/// The error of `exec` if its command does not begin after `--`.
fn without_separator(kind: ErrorKind, arguments: &[String]) -> Option<clap::Error> {
    let is_meant = matches!(kind, ErrorKind::MissingRequiredArgument | ErrorKind::UnknownArgument);
    match arguments {
        [_, exec, command @ ..]
            if is_meant
                && exec == "exec"
                && command.first().is_some_and(|it| !it.starts_with('-'))
                && !command.iter().any(|it| it == "--") =>
        {
            let words: Vec<_> = command.iter().map(|it| shell_word(it)).collect();
            let is_name = |it: &String| {
                it.contains("://") || (variable::is_name(it) && *it == it.to_ascii_uppercase())
            };
            let (names, command) =
                words.split_at(command.iter().take_while(|it| is_name(it)).count());
            let (fault, command) = match command {
                [] => ("has no command", "COMMAND".to_owned()),
                command => ("has no `--` before the command", command.join(" ")),
            };
            let written = names.iter().map(AsRef::as_ref).chain(["--", &command]);
            let written = written.collect::<Vec<_>>().join(" ");
            let message = format!("`exec` {fault}: write `registry-agent exec {written}`");
            Some(Cli::command().error(kind, message))
        }
        _ => None,
    }
}

fn exec_help() -> String {
    format!("{EXEC_NOTES}\n\n{}", examples::EXEC)
}

/// The command line, for the manual.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Executes the command again with the variable instead of the option, so that whatever it starts
/// uses the same socket. Returns only on failure.
fn with_socket(socket: &Path, mut arguments: Vec<OsString>) -> anyhow::Error {
    // What follows are the arguments of another program.
    let end = arguments.iter().position(|it| it == "--").unwrap_or(arguments.len());
    let others = arguments.split_off(end);
    if let Some(at) = arguments.iter().position(|argument| argument == SOCKET_OPTION) {
        arguments.drain(at..arguments.len().min(at + 2));
    } else {
        let prefix = format!("{SOCKET_OPTION}=");
        arguments.retain(|it| !it.to_string_lossy().starts_with(&prefix));
    }
    arguments.extend(others);
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0(arguments.remove(0)).args(arguments).env("REGISTRY_AGENT_SOCKET", socket);
    command.exec().into()
}

/// Prints the error of a command that failed.
#[expect(clippy::print_stderr, reason = "errors of commands go to standard error")]
pub fn print_error(error: &anyhow::Error) -> ExitCode {
    if let Some(Failed(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    // The reader of the output may exit first, as in `registry-agent status | head -1`.
    let gone = error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    });
    if gone {
        return ExitCode::FAILURE;
    }
    eprintln!("registry-agent: {}", printable(&explained(&Paths::of_this_process(), error)));
    ExitCode::FAILURE
}

/// Parses what a user names. An empty text comes from a variable that is not set.
fn named(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        named => Ok(named.to_owned()),
    }
}

/// Parses a duration as jiff does, such as `90s`, `250ms` or `1h 30m`; a number alone is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = text
        .parse()
        .or_else(|_| format!("{text}s").parse::<SignedDuration>())
        .and_then(Duration::try_from)
        .map_err(|_| "expected a number and a unit (s, m or h), such as 90s".to_owned())?;
    let end = Instant::now().checked_add(duration);
    end.map(|_| duration).ok_or_else(|| "use a shorter time".to_owned())
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
        assert_eq!(duration("1.5h"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("0.25"), Ok(Duration::from_millis(250)));
        let longest = i64::MAX.to_string();
        for wrong in ["", "s", "5 weeks", "-1s", "-1", "1d", "1e19s", "5s ago", "∞", &longest] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
